internal import LinearAlgebra

/// A graph cut into edges to learn from and edges to be tested on.
public struct EdgeSplit: Sendable {
    /// The graph without the held-out edges. Its nodes are all nodes of the whole graph, in the same rows.
    public let train: DirectedGraph
    /// The edges left out, by number of the whole graph.
    public let heldOut: [Edge]

    /// Holds out a share of the edges, drawn without replacement.
    ///
    /// - Parameters:
    ///   - fraction: the share of edges to hold out, in 0..<1; the count is rounded, and one edge at least stays.
    ///   - seed: the same seed on the same graph gives the same split.
    public init(_ graph: DirectedGraph, fraction: Double, seed: UInt64) {
        precondition((0..<1).contains(fraction), "the held-out fraction must be at least 0 and below 1")
        let wanted = (Double(graph.edgeCount) * fraction).rounded()
        let count = max(0, min(Int(wanted), graph.edgeCount - 1))
        var generator = SeededGenerator(seed: seed, stream: Self.stream)
        var isHeldOut = [Bool](repeating: false, count: graph.edgeCount)
        var order = Array(0..<graph.edgeCount)
        for place in 0..<count {
            order.swapAt(place, Int.random(in: place..<order.count, using: &generator))
            isHeldOut[order[place]] = true
        }
        self.init(graph, heldOut: isHeldOut)
    }

    /// Holds out the marked edges, given by edge number.
    public init(_ graph: DirectedGraph, heldOut isHeldOut: [Bool]) {
        let edges = graph.edges
        var kept: [Edge] = []
        var heldOut: [Edge] = []
        for (edge, isOut) in zip(edges, isHeldOut) {
            if isOut { heldOut.append(edge) } else { kept.append(edge) }
        }
        train = DirectedGraph(ids: graph.ids, edges: kept)
        self.heldOut = heldOut
    }

    /// Keeps the draws of the split apart from other uses of the same seed.
    private static let stream: UInt64 = 0x5350_4C49_54
}
