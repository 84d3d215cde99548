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
    /// Which neighbours pass messages.
    public var sampler = NeighbourhoodSampler.full
    /// Whether a node has one vector, its source and its target row, but for temperature and biases: what dual
    /// embeddings are measured beside.
    public var isSingle = false
    /// The same seed gives the same vectors.
    public var seed: UInt64 = 1
    /// The share of edges that supervise nothing: they choose the epoch, fit the direction offset and the ranker. In 0..<1.
    ///
    /// Where not given it is what a thousand edges are, from 2 to 10 %, and a training that holds out more than 2 %, which
    /// takes little time, is followed by one on all edges.
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
        try require((1...8).contains(layers ?? 1), "layers", "must be between 1 and 8")
        try require((1...100_000).contains(epochs ?? 1), "epochs", "must be between 1 and 100000")
        let rate = learningRate ?? 1
        try require(rate > 0 && rate <= 10, "learning-rate", "must be above 0 and at most 10")
        try require((1...65_536).contains(negatives), "negatives", "must be between 1 and 65536")
        try require((0..<1).contains(dropout ?? 0), "dropout", "must be at least 0 and below 1")
        // Beyond, nothing is left of the existence term.
        try require((0...1000).contains(directionWeight ?? 0), "direction-weight", "must be between 0 and 1000")
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
    /// The neighbourhood sampler, with its parameters.
    public let sampler: String
    /// The seed.
    public let seed: UInt64
    /// The share of edges held out of the training.
    public let validFraction: Double
    /// Whether the published vectors are those of a second training, on all edges, for as many epochs as the first one
    /// found best.
    public let isRepeatedOnAll: Bool

    /// Enough steps that few messages are missing in each.
    private static let leastStepsPerEpoch = 10
    /// Bounds the memory of a step; larger graphs take more steps.
    private static let mostPairsPerStep = 100_000
    /// Edges per node below which most nodes have too few neighbours to learn from but by heart.
    private static let sparseDensity = 4.0

    /// Fills in what the options leave open: the sparser the graph, the sooner the table of inputs overfits, and the more
    /// dropout and the smaller a learning rate it takes.
    init(_ options: TrainingOptions, graph: DirectedGraph) throws(TrainingError) {
        try options.validate()
        let density = Double(graph.edgeCount) / Double(max(graph.nodeCount, 1))
        let isSparse = density < Self.sparseDensity
        dimension = options.dimension
        layers = options.layers ?? 2
        epochs = options.epochs ?? 24
        stepsPerEpoch = min(
            max(Self.leastStepsPerEpoch, graph.edgeCount / Self.mostPairsPerStep), max(graph.edgeCount, 1))
        learningRate = options.learningRate ?? (isSparse ? 0.01 : 0.02)
        negatives = options.negatives
        negativesExponent = 0.5
        dropout = options.dropout ?? Self.dropout(density: density)
        directionWeight = options.directionWeight ?? 0.3
        sampler = options.sampler.description
        seed = options.seed
        let asked = options.validFraction
        validFraction = asked ?? Self.validFraction(edges: graph.edgeCount)
        isRepeatedOnAll = asked == nil && validFraction > Self.leastValidFraction
    }

    /// Enough edges to fit a ranker's weights to, where they can be spared.
    private static let wantedValidEdges = 1000.0
    private static let leastValidFraction = 0.02
    private static let mostValidFraction = 0.1

    private static func validFraction(edges: Int) -> Double {
        min(mostValidFraction, max(leastValidFraction, wantedValidEdges / Double(max(edges, 1))))
    }

    /// Falls with the logarithm of the density: 0.7 up to 2 edges per node, 0.3 from 12.
    private static func dropout(density: Double) -> Float {
        Float(min(0.7, max(0.3, 0.7 - 0.22 * log(max(density, 1) / 2))))
    }
}
