internal import Graph

/// Which edges of a graph are the test.
public enum SplitRule: String, CaseIterable, Codable, Sendable {
    /// A share of the edges, drawn evenly.
    case edge
    /// The latest edges, as far as they are a share of all.
    case time
    /// The edges of a share of the nodes, drawn evenly, which count as new; a few edges of each are revealed.
    case node
}

/// A scorer that embeddings are measured beside.
public enum Baseline: String, CaseIterable, Codable, Sendable {
    /// In-degree in the train graph.
    case popularity
    /// `A A^T A`.
    case coCitation
    /// `A Din^-1 A^T Dout^-1/2 A`.
    case normalisedCoCitation
    /// `S S`, S = A + A^T.
    case symmetricTwoHop
    /// Singular vectors of the adjacency: sources from the left ones, targets from the right.
    case dualSVD
    /// The model under test with one vector a node: its source heads are its target heads, all else is equal.
    case singleEmbedding
    /// Out-degree of the source and in-degree of the target, as a score of pairs; as a ranking it is popularity.
    case degrees
}

/// What an evaluation does.
public struct EvaluationOptions: Sendable {
    /// Which edges are held out.
    public var split = SplitRule.edge
    /// The share of edges (split by node: of nodes) held out for testing, above 0 and below 1.
    public var testFraction = 0.1
    /// Split by node: how many edges of each new node are known.
    public var reveal = 3
    /// The seed of the first split; the training has the same one unless ``training`` says otherwise.
    public var seed: UInt64 = 1
    /// How many seeds, from ``seed`` up: each makes a split and trainings of its own.
    public var seeds = 1
    /// What to measure beside the embedding.
    public var baselines = Baseline.allCases
    /// What to change about the training, one thing at a time.
    public var ablations: [Ablation] = []
    /// How the embedding is trained on the rest.
    public var training = TrainingOptions()

    /// The defaults.
    public init() {}

    /// Checks every option by itself, without a graph.
    ///
    /// - Throws: ``TrainingError`` when one is out of its range.
    public func validate() throws(TrainingError) {
        guard testFraction > 0, testFraction < 1 else {
            throw TrainingError(option: "test-fraction", "must be above 0 and below 1")
        }
        guard (1...1000).contains(seeds) else { throw TrainingError(option: "seeds", "must be between 1 and 1000") }
        guard (0...1000).contains(reveal) else {
            throw TrainingError(option: "reveal", "must be between 0 and 1000")
        }
        try training.validate()
    }

    /// The options of one of the seeds, by number from 0.
    func seeded(_ number: Int) -> EvaluationOptions {
        var options = self
        options.seed &+= UInt64(number)
        options.training.seed &+= UInt64(number)
        return options
    }
}

/// A thing about the model whose worth is measured by changing it, everything else equal.
public enum Ablation: String, CaseIterable, Codable, Sendable {
    /// Which neighbours pass messages.
    case sampler
    /// The loss without its term on directions.
    case direction
    /// What inner products are multiplied by, instead of a learned number.
    case temperature
    /// Rounds of message passing.
    case layers
    /// Coordinates of the vectors.
    case dimension
    /// The paths that the hybrid ranker counts: each left out by itself, the weights of the others as they were fitted.
    case features

    /// The variants of the model under test.
    var variants: [Variant] {
        switch self {
        case .sampler:
            ["full", "uniform", "biased", "walks"].compactMap { NeighbourhoodSampler($0) }.map { sampler in
                .training("sampler \(sampler)") { $0.sampler = sampler }
            }
        case .direction: [.training("no direction loss") { $0.directionWeight = 0 }]
        case .temperature:
            [1, 10].map { (value: Float) in .training("temperature \(Int(value))") { $0.temperature = value } }
        case .layers: (0...3).map { (count: Int) in .training("layers \(count)") { $0.layers = count } }
        case .dimension:
            [16, 32, 64, 128].map { (count: Int) in .training("dimension \(count)") { $0.dimension = count } }
        case .features: PathFeature.allCases.map { .ranking(without: $0) }
        }
    }
}

/// One change to the model under test.
enum Variant: Sendable {
    /// Trained in another way.
    case training(String, @Sendable (inout TrainingOptions) -> Void)
    /// Ranked without one feature of the hybrid.
    case ranking(without: PathFeature)

    /// What is different.
    var name: String {
        switch self {
        case .training(let name, _): name
        case .ranking(let feature): "hybrid without \(feature)"
        }
    }

    var isTrained: Bool {
        if case .training = self { true } else { false }
    }
}
