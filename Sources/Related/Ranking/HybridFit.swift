internal import Foundation
internal import Graph
internal import LinearAlgebra

/// Weights of a hybrid ranker, fitted to edges that neither the vectors nor the graph have seen, and whether they help.
struct HybridFit {
    /// The weights, where they rank held-out edges better than the inner product alone by more than a standard error.
    let weights: HybridWeights?
    /// What was found.
    let report: RankerReport

    /// Held-out edges enough for a handful of weights; more would only take time.
    private static let mostEdges = 4000
    /// Held-out edges below which no weights are fitted.
    private static let leastEdges = 50

    /// - Parameters:
    ///   - heldOut: edges that are not in `train`, over the same nodes.
    ///   - source: source vectors learned from `train`.
    ///   - target: target vectors learned from `train`.
    init(heldOut: DirectedGraph, train: DirectedGraph, source: Matrix, target: Matrix, seed: UInt64) {
        let edges = Self.sample(heldOut.edges, seed: seed)
        guard edges.count >= Self.leastEdges else {
            weights = nil
            report = RankerReport(heldOutEdges: edges.count)
            return
        }
        let features = PathFeatures(PathGraph(train))
        let candidates = CandidateSets(
            edges, heldOut: heldOut, train: train, features: features, source: source, target: target, seed: seed)
        // Each half is ranked by the weights of the other, so that the weights are judged on edges they do not know.
        var gains: [(hybrid: Float, inner: Float)] = []
        for half in 0..<2 {
            let judged = DirectedGraph(ids: train.ids, edges: Self.half(edges, half))
            let fitted = SoftmaxFit(Self.half(candidates.sets, 1 - half)).weights()
            func ranks(_ ranker: HybridRanker?) -> [Float] {
                HeldOutScores(
                    judged, train: train, scorer: HybridScorer(source: source, target: target, ranker: ranker),
                    withReverse: false
                ).ranks
            }
            gains += zip(ranks(HybridRanker(fitted, features)), ranks(nil)).map { ($0, $1) }
        }
        let fitted = SoftmaxFit(candidates.sets).weights()
        report = RankerReport(gains, weights: fitted)
        weights = report.isHybrid ? fitted : nil
    }

    /// At most ``mostEdges`` of the edges, in random order.
    private static func sample(_ edges: [Edge], seed: UInt64) -> [Edge] {
        var generator = SeededGenerator(seed: seed, stream: stream)
        return Array(edges.shuffled(using: &generator).prefix(mostEdges))
    }

    private static func half<Element>(_ all: [Element], _ half: Int) -> [Element] {
        all.indices.filter { $0 % 2 == half }.map { all[$0] }
    }

    /// Keeps the draws of the fit apart from other uses of the same seed.
    private static let stream: UInt64 = 0x4859_4252_4944
}

/// What decided between the two rankers, as the mean of `1 / log2(1 + rank)` over held-out edges.
public struct RankerReport: Codable, Sendable {
    /// Held-out edges that were ranked.
    public let heldOutEdges: Int
    /// By the inner product alone.
    public let innerProduct: Double
    /// By the hybrid, each edge with weights fitted to others.
    public let hybrid: Double
    /// The standard error of the difference of the two.
    public let standardError: Double
    /// The weights beside that of the inner product, 1, by feature; also where they do not help.
    public let weights: [String: Float]

    /// Whether lists are ranked by the hybrid.
    public var isHybrid: Bool { hybrid - innerProduct > standardError }

    fileprivate init(heldOutEdges: Int) {
        self.heldOutEdges = heldOutEdges
        (innerProduct, hybrid, standardError, weights) = (0, 0, 0, [:])
    }

    fileprivate init(_ ranks: [(hybrid: Float, inner: Float)], weights: HybridWeights) {
        func gain(_ rank: Float) -> Double { 1 / log2(1 + Double(rank)) }
        let count = Double(ranks.count)
        heldOutEdges = ranks.count
        innerProduct = ranks.reduce(0) { $0 + gain($1.inner) } / count
        hybrid = ranks.reduce(0) { $0 + gain($1.hybrid) } / count
        let difference = hybrid - innerProduct
        let squares = ranks.reduce(0) { sum, rank in
            let deviation = gain(rank.hybrid) - gain(rank.inner) - difference
            return sum + deviation * deviation
        }
        standardError = squares.squareRoot() / count
        self.weights = weights.named
    }
}
