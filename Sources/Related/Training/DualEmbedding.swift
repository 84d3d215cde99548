public import Graph
public import LinearAlgebra

/// A source and a target vector for every node of a graph. The score of v for u is their inner product
/// `source[u] . target[v]`, with temperature and biases folded into the coordinates.
public struct DualEmbedding: Sendable {
    /// The ids of the rows.
    public let ids: IdentifierTable
    /// Source vectors (nodes x dimension).
    public let source: Matrix
    /// Target vectors (nodes x dimension).
    public let target: Matrix
    /// How lists of known products are ranked beyond the inner product; nil where paths do not help.
    public let ranker: HybridRanker?
    /// How they were made.
    public let report: TrainingReport
    /// What makes vectors of new products.
    let encoder: EncoderTables
}

/// How a training went.
public struct TrainingReport: Codable, Sendable {
    /// The parameters as used.
    public let parameters: TrainingParameters
    /// What was learned from.
    public let graph: GraphCounts
    /// The mean loss of each epoch.
    public internal(set) var losses: [Float]
    /// Metrics on the held-out edges after each epoch; empty where nothing was held out.
    public internal(set) var valid: [[String: Double]]
    /// The epoch whose parameters are published, from 1.
    public internal(set) var publishedEpoch: Int
    /// Whether lists are ranked by the hybrid, and what decided; nil where nothing was held out.
    public internal(set) var ranker: RankerReport?

    /// Metrics of the published parameters on the held-out edges; nil where nothing was held out.
    public var quality: [String: Double]? { valid.isEmpty ? nil : valid[publishedEpoch - 1] }
}

/// Counts of a graph for reports.
public struct GraphCounts: Codable, Hashable, Sendable {
    /// Nodes, also those without an edge.
    public let nodes: Int
    /// Edges, without self-loops and repeats.
    public let edges: Int
    /// The share of edges whose reverse is there too.
    public let reciprocity: Double
    /// Self-loops left out.
    public let droppedSelfLoops: Int
    /// Repeats merged into earlier edges.
    public let mergedRepeats: Int

    /// The counts of a graph.
    public init(_ graph: DirectedGraph) {
        nodes = graph.nodeCount
        edges = graph.edgeCount
        reciprocity = graph.reciprocity
        droppedSelfLoops = graph.droppedSelfLoops
        mergedRepeats = graph.mergedRepeats
    }
}

/// Where a training is, told after every step.
public struct TrainingProgress: Sendable {
    /// The epoch, from 1.
    public let epoch: Int
    /// The number of epochs.
    public let epochs: Int
    /// The step within the epoch, from 1.
    public let step: Int
    /// The number of steps of an epoch.
    public let steps: Int
    /// The loss of this step.
    public let loss: Float
    /// The learning rate of this step.
    public let learningRate: Float
    /// Wall time so far.
    public let secondsElapsed: Double
    /// The time the remaining steps will take at the pace so far.
    public let secondsLeft: Double
}
