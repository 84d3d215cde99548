public import Graph

/// What the caller decides about the training of dual embeddings. Whatever is nil follows from the density of the graph;
/// see ``TrainingParameters``.
public struct TrainingOptions: Sendable {
    /// Coordinates of the published vectors; at least 4, of which two carry the biases.
    public var dimension = 64
    /// Rounds of message passing.
    public var layers: Int?
    /// Passes over the edges.
    public var epochs: Int?
    /// The rate of Adam in the first step; it falls linearly to 0.
    public var learningRate: Float?
    /// Negatives shared by the pairs of one step.
    public var negatives = 512
    /// The share of input coordinates dropped, in 0..<1.
    public var dropout: Float?
    /// The weight of the direction term beside the existence term, at least 0.
    public var directionWeight: Float?
    /// Which neighbours pass messages.
    public var sampler = NeighbourhoodSampler.full
    /// The same seed gives the same vectors.
    public var seed: UInt64 = 1
    /// The share of edges that supervise nothing: they choose the epoch and fit the direction offset. In 0..<1.
    public var validFraction = 0.02

    /// The defaults.
    public init() {}
}

/// Why a training cannot start. The description is one line that names the option, the reason and the remedy.
public struct TrainingError: Error, Hashable, CustomStringConvertible, Sendable {
    /// What is wrong, with the remedy.
    public let description: String
}

/// The parameters of one training, as used.
public struct TrainingParameters: Codable, Hashable, Sendable {
    public let dimension: Int
    public let layers: Int
    public let epochs: Int
    public let stepsPerEpoch: Int
    public let learningRate: Float
    public let negatives: Int
    /// Negatives are drawn with probability proportional to (in-degree + 1) to this power.
    public let negativesExponent: Float
    public let dropout: Float
    public let directionWeight: Float
    public let sampler: String
    public let seed: UInt64
    public let validFraction: Double

    /// Each step supervises a tenth of the edges, and passes messages along the others only.
    private static let leastStepsPerEpoch = 10
    /// Bounds the memory of a step; larger graphs take more steps.
    private static let mostPairsPerStep = 100_000

    /// Fills in what the options leave open: the sparser the graph, the more dropout and the more epochs it takes before
    /// the table of inputs has learned and before it overfits.
    init(_ options: TrainingOptions, graph: DirectedGraph) throws(TrainingError) {
        try Self.check(options)
        let density = Double(graph.edgeCount) / Double(max(graph.nodeCount, 1))
        dimension = options.dimension
        layers = options.layers ?? (density > 15 ? 1 : 2)
        epochs = options.epochs ?? (density > 15 ? 8 : density > 4 ? 12 : 40)
        stepsPerEpoch = max(Self.leastStepsPerEpoch, graph.edgeCount / Self.mostPairsPerStep)
        learningRate = options.learningRate ?? (density > 4 ? 0.02 : 0.01)
        negatives = options.negatives
        negativesExponent = density > 4 ? 0.5 : 0
        dropout = options.dropout ?? (density > 15 ? 0.1 : density > 4 ? 0.3 : 0.5)
        directionWeight = options.directionWeight ?? (density > 4 ? 0.3 : 0)
        sampler = options.sampler.name
        seed = options.seed
        validFraction = options.validFraction
    }

    private static func check(_ options: TrainingOptions) throws(TrainingError) {
        func require(_ condition: Bool, _ text: String) throws(TrainingError) {
            if !condition { throw TrainingError(description: text) }
        }
        try require((4...4096).contains(options.dimension), "dimension must be between 4 and 4096")
        try require((1...8).contains(options.layers ?? 1), "layers must be between 1 and 8")
        try require((1...100_000).contains(options.epochs ?? 1), "epochs must be between 1 and 100000")
        let rate = options.learningRate ?? 1
        try require(rate > 0 && rate <= 10, "learning-rate must be above 0 and at most 10")
        try require((1...65_536).contains(options.negatives), "negatives must be between 1 and 65536")
        try require((0..<1).contains(options.dropout ?? 0), "dropout must be at least 0 and below 1")
        let direction = options.directionWeight ?? 0
        try require(direction >= 0 && direction.isFinite, "direction-weight must be at least 0")
        try require((0..<1).contains(options.validFraction), "valid-fraction must be at least 0 and below 1")
    }
}

extension NeighbourhoodSampler {
    /// A short name with the sampler's parameters.
    var name: String {
        switch self {
        case .full: "full"
        case .uniform(let fanout): "uniform(\(fanout))"
        case .degreeBiased(let minimum, let maximum): "degree-biased(\(minimum), \(maximum))"
        }
    }
}
