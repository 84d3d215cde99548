public import Graph
internal import Learning

/// What an evaluation does.
public struct EvaluationOptions: Sendable {
    /// The share of edges held out for testing, above 0 and below 1.
    public var testFraction = 0.1
    /// The seed of the split; that of the training is its own.
    public var seed: UInt64 = 1
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
        try training.validate()
    }
}

/// Where an evaluation is.
public enum EvaluationProgress: Sendable {
    /// The embedding is being trained.
    case training(TrainingProgress)
    /// A method, by name, is being scored.
    case scoring(String)
}

/// The quality of dual embeddings on held-out edges of a graph, beside that of baselines on the same edges.
///
/// For every test edge all nodes are ranked, without the source itself and its targets in the train graph; a tie counts
/// half. Neither the embedding nor a baseline sees a test edge. Names of metrics: `hitRate@k`, `mrr@k` (k = 5, 10, 20),
/// `mrr`; the same with `.noReverse` on test edges whose reverse is not in the train graph, and with `.degree...` by the
/// degree of the source in the train graph; `directionAccuracy` and `directionAUC` on one-way edges.
public struct Evaluation: Codable, Sendable {
    /// Metrics of the embedding.
    public let embedding: [String: Double]
    /// Metrics of the baselines by name; `degrees` has only those of direction.
    public let baselines: [String: [String: Double]]
    /// How many test edges each group of metrics rests on, by suffix; the whole is `all`, `direction` the one-way ones.
    public let testEdges: [String: Int]
    /// The seed of the split.
    public let splitSeed: UInt64
    /// How the embedding was trained.
    public let training: TrainingReport

    /// Coordinates of the singular value decomposition among the baselines.
    private static let factors = 64

    /// Splits a graph, trains on one part and measures on the other.
    ///
    /// - Throws: ``TrainingError`` when an option is out of its range, the graph too small to be split, or the training
    ///   diverges.
    public static func run(
        _ graph: DirectedGraph, options: EvaluationOptions, progress: (EvaluationProgress) -> Void = { _ in }
    ) throws(TrainingError) -> Evaluation {
        try options.validate()
        let split = EdgeSplit(graph, fraction: options.testFraction, seed: options.seed)
        guard !split.heldOut.isEmpty else {
            throw TrainingError(
                "no edge of \(graph.edgeCount) is left to test on; give a larger graph or test-fraction")
        }
        return try run(split, options: options, progress: progress)
    }

    private static func run(
        _ split: EdgeSplit, options: EvaluationOptions, progress: (EvaluationProgress) -> Void
    ) throws(TrainingError) -> Evaluation {
        let train = split.train
        let heldOut = DirectedGraph(ids: train.ids, edges: split.heldOut)
        let groups = EdgeGroups(heldOut, train: train)
        func metrics(_ name: String, _ scorer: some TargetScorer) -> [String: Double] {
            progress(.scoring(name))
            let scores = HeldOutScores(
                heldOut, train: train, scorer: scorer, withReverse: true)
            return Metric.all(scores, groups: groups)
        }
        let embedding = try DualEmbeddingTrainer(train, options: options.training).run { progress(.training($0)) }
        let factors = TruncatedSVD(SparseMatrix(binary: train), rank: Self.factors, seed: options.seed)
        var testEdges = ["all": heldOut.edgeCount, "direction": groups.oneWay.count]
        for (suffix, edges) in groups.ranked { testEdges[String(suffix.dropFirst())] = edges.count }
        return Evaluation(
            embedding: metrics("embedding", InnerProductScorer(source: embedding.source, target: embedding.target)),
            baselines: [
                "popularity": metrics("popularity", PopularityScorer(train)),
                "coCitation": metrics("coCitation", PathScorer.coCitation(train)),
                "normalisedCoCitation": metrics("normalisedCoCitation", PathScorer.normalisedCoCitation(train)),
                "symmetricTwoHop": metrics("symmetricTwoHop", PathScorer.symmetricTwoHop(train)),
                "dualSVD": metrics("dualSVD", InnerProductScorer(source: factors.source, target: factors.target)),
                "degrees": metrics("degrees", DegreeScorer(train)).filter { $0.key.hasPrefix("direction") },
            ],
            testEdges: testEdges, splitSeed: options.seed, training: embedding.report)
    }
}
