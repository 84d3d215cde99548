internal import Foundation
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
    public var negatives = 1024
    /// The share of input coordinates dropped, in 0..<1.
    public var dropout: Float?
    /// The weight of the direction term beside the existence term, from 0 to 1000.
    public var directionWeight: Float?
    /// The weight, from 0 to 1000, of each of the two terms by which products that are viewed together become alike.
    public var similarityWeight: Float = 0.3
    /// What inner products of rows, which have the length 1, are multiplied by; nil learns it, as is best.
    public var temperature: Float?
    /// Which neighbours pass messages.
    public var sampler = NeighbourhoodSampler.full
    /// Whether a node has one vector, its source and its target row, but for temperature and biases: what dual
    /// embeddings are measured beside.
    public var isSingle = false
    /// The same seed gives the same vectors.
    public var seed: UInt64 = 1
    /// The share of edges that supervise nothing: they choose the epoch and fit the direction offset and the ranker. In
    /// 0..<1; nil for two in a hundred, more of few edges, up to one in ten, and fewer of very many.
    public var validFraction: Double?

    /// The defaults.
    public init() {}

    /// Checks every option by itself, without a graph.
    ///
    /// - Throws: ``TrainingError`` when one is out of its range.
    public func validate() throws(TrainingError) {
        func require(_ condition: Bool, _ option: String, _ reason: String) throws(TrainingError) {
            if !condition { throw TrainingError(option: option, reason) }
        }
        try require((4...4096).contains(dimension), "dimension", "must be between 4 and 4096")
        try require((0...8).contains(layers ?? 1), "layers", "must be between 0 and 8")
        try require((1...100_000).contains(epochs ?? 1), "epochs", "must be between 1 and 100000")
        let rate = learningRate ?? 1
        try require(rate > 0 && rate <= 10, "learning-rate", "must be above 0 and at most 10")
        try require((1...65_536).contains(negatives), "negatives", "must be between 1 and 65536")
        try require((0..<1).contains(dropout ?? 0), "dropout", "must be at least 0 and below 1")
        // Beyond, nothing is left of the existence term.
        try require((0...1000).contains(directionWeight ?? 0), "direction-weight", "must be between 0 and 1000")
        try require((0...1000).contains(similarityWeight), "similarity-weight", "must be between 0 and 1000")
        let sizes = NeighbourhoodSampler.possibleSizes
        try require(
            sampler.isValid, "sampler",
            "must have sizes between \(sizes.lowerBound) and \(sizes.upperBound), the least first")
        try require((0..<1).contains(validFraction ?? 0), "valid-fraction", "must be at least 0 and below 1")
    }
}

/// Why a training cannot start or go on. The description is one line that names the option, the reason and the remedy.
public struct TrainingError: Error, Hashable, CustomStringConvertible, Sendable {
    /// The option that is out of its range, for example `valid-fraction`; nil where it is none of them.
    public let option: String?
    /// What is wrong, with the remedy.
    public let reason: String

    init(option: String? = nil, _ reason: String) {
        self.option = option
        self.reason = reason
    }

    public var description: String { option.map { "\($0) \(reason)" } ?? reason }
}

/// The parameters of one training, as used.
public struct TrainingParameters: Codable, Hashable, Sendable {
    /// Coordinates of the published vectors.
    public let dimension: Int
    /// Rounds of message passing.
    public let layers: Int
    /// Passes over the edges.
    public let epochs: Int
    /// Steps of an epoch; each supervises an equal share of the edges, and passes messages along the others only.
    public let stepsPerEpoch: Int
    /// The rate of Adam in the first step.
    public let learningRate: Float
    /// Negatives shared by the pairs of one step.
    public let negatives: Int
    /// Negatives are drawn with probability proportional to (in-degree + 1) to this power.
    public let negativesExponent: Float
    /// The share of input coordinates dropped.
    public let dropout: Float
    /// The weight of the direction term beside the existence term.
    public let directionWeight: Float
    /// The weight of each of the two terms of similarity beside the existence term; 0 where there are no views.
    public let similarityWeight: Float
    /// The share of nodes with features whose learned row is dropped; 0 where there are no features.
    public let rowDropout: Float
    /// The neighbourhood sampler, with its parameters.
    public let sampler: String
    /// The seed.
    public let seed: UInt64
    /// The share of edges held out of the training.
    public let validFraction: Double
    /// Whether, after the training that holds edges out, the published vectors are trained anew on all edges.
    public let isRefitted: Bool

    /// Enough steps that few messages are missing in each, and few enough passes over the graph.
    private static let mostStepsPerEpoch = 10
    /// Held-out edges enough to fit the ranker's weights to, where few can be spared.
    private static let wantedHeldOutEdges = 1000.0
    /// Held-out edges enough for all that they decide.
    private static let mostHeldOutEdges = 20_000.0
    /// Often enough that features learn to do alone, seldom enough that rows learn what features do not say.
    private static let rowDropoutWithFeatures: Float = 0.3
    /// Edges below which those held out are missed more than a second training costs.
    private static let fewEdges = 100_000
    /// Edges per node below which most nodes have too few neighbours to learn from but by heart.
    private static let sparseDensity = 4.0

    /// Fills in what the options leave open: the sparser the graph, the sooner the table of inputs overfits, and the more
    /// dropout and the smaller a learning rate it takes.
    init(_ options: TrainingOptions, graphs: EdgeGraphs, hasFeatures: Bool = false) throws(TrainingError) {
        try options.validate()
        let graph = graphs.purchases
        let density = Double(graph.edgeCount) / Double(max(graph.nodeCount, 1))
        let isSparse = density < Self.sparseDensity
        dimension = options.dimension
        layers = options.layers ?? 2
        epochs = options.epochs ?? (isSparse ? 40 : 24)
        stepsPerEpoch = min(Self.mostStepsPerEpoch, max(graph.edgeCount, 1))
        learningRate = options.learningRate ?? (isSparse ? 0.01 : 0.02)
        negatives = options.negatives
        negativesExponent = 0.5
        dropout = options.dropout ?? Self.dropout(density: density)
        directionWeight = options.directionWeight ?? 0.3
        sampler = options.sampler.description
        seed = options.seed
        validFraction = options.validFraction ?? Self.validFraction(edges: Double(max(graph.edgeCount, 1)))
        similarityWeight = graphs.views.edgeCount > 0 ? options.similarityWeight : 0
        rowDropout = hasFeatures ? Self.rowDropoutWithFeatures : 0
        isRefitted = validFraction > 0 && graph.edgeCount < Self.fewEdges
    }

    private static func validFraction(edges: Double) -> Double {
        max(min(0.02, mostHeldOutEdges / edges), min(0.1, wantedHeldOutEdges / edges))
    }

    /// Falls with the logarithm of the density: 0.7 up to 2 edges per node, 0.3 from 12.
    private static func dropout(density: Double) -> Float {
        Float(min(0.7, max(0.3, 0.7 - 0.22 * log(max(density, 1) / 2))))
    }
}
