internal import LinearAlgebra

/// A graph cut into edges to learn from and edges to be tested on.
public struct EdgeSplit: Sendable {
    /// The graph without the held-out edges. Its nodes are all nodes of the whole graph, in the same rows.
    public let train: DirectedGraph
    /// The edges left out, by number of the whole graph.
    public let heldOut: [Edge]
    /// By row, whether the node counts as new: all its edges are held out but those revealed. Empty unless the split is
    /// one of nodes.
    public private(set) var isNew: [Bool] = []

    /// Holds out a share of the edges, drawn without replacement.
    ///
    /// - Parameters:
    ///   - fraction: the share of edges to hold out, in 0..<1; the count is rounded, and one edge at least stays.
    ///   - seed: the same seed on the same graph gives the same split.
    public init(_ graph: DirectedGraph, fraction: Double, seed: UInt64) {
        let count = min(Self.count(fraction, of: graph.edgeCount), max(graph.edgeCount - 1, 0))
        var generator = SeededGenerator(seed: seed, stream: Self.stream)
        let isHeldOut = Self.drawn(count, of: graph.edgeCount, using: &generator)
        self.init(graph, heldOut: isHeldOut)
    }

    /// Holds out the latest edges: the past is learned from, what came later is the test.
    ///
    /// Edges of one time stay together, so the share held out is the largest that does not exceed `fraction`.
    ///
    /// - Parameters:
    ///   - fraction: the share of edges to hold out, in 0..<1.
    ///   - times: when each edge came to be, by edge number, in any unit.
    public init(_ graph: DirectedGraph, latest fraction: Double, times: [Int64]) {
        precondition(times.count == graph.edgeCount, "one time for each edge")
        let count = Self.count(fraction, of: graph.edgeCount)
        let last = times.sorted().dropLast(count).last ?? .min
        self.init(graph, heldOut: times.map { $0 > last })
    }

    /// Holds out a share of the nodes that have edges, drawn without replacement, with all their edges but a few.
    ///
    /// - Parameters:
    ///   - fraction: the share of nodes, in 0..<1.
    ///   - reveal: how many edges of each new node stay, drawn from those that tie it to nodes that are not new. Edges
    ///     between new nodes are all held out.
    ///   - seed: the same seed on the same graph gives the same split.
    public init(_ graph: DirectedGraph, nodes fraction: Double, reveal: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed, stream: Self.stream)
        let candidates = (0..<graph.nodeCount).filter { graph.degree($0) > 0 }
        let isDrawn = Self.drawn(
            Self.count(fraction, of: candidates.count), of: candidates.count, using: &generator)
        var isNew = [Bool](repeating: false, count: graph.nodeCount)
        for (row, isDrawn) in zip(candidates, isDrawn) { isNew[row] = isDrawn }
        var isHeldOut = [Bool](repeating: false, count: graph.edgeCount)
        for row in candidates where isNew[row] {
            let out = graph.outRange(row).map { (edge: $0, other: Int(graph.outTargets[$0])) }
            let `in` = graph.inRange(row).map { (edge: Int(graph.inEdges[$0]), other: Int(graph.inSources[$0])) }
            for (edge, _) in out + `in` { isHeldOut[edge] = true }
            let ties = (out + `in`).filter { !isNew[$0.other] }
            let isRevealed = Self.drawn(min(reveal, ties.count), of: ties.count, using: &generator)
            for (tie, isRevealed) in zip(ties, isRevealed) where isRevealed { isHeldOut[tie.edge] = false }
        }
        self.init(graph, heldOut: isHeldOut)
        self.isNew = isNew
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

    private static func count(_ fraction: Double, of whole: Int) -> Int {
        precondition((0..<1).contains(fraction), "the held-out fraction must be at least 0 and below 1")
        return Int((Double(whole) * fraction).rounded())
    }

    /// Marks `count` of `whole` places, drawn without replacement.
    private static func drawn(_ count: Int, of whole: Int, using generator: inout SeededGenerator) -> [Bool] {
        var isDrawn = [Bool](repeating: false, count: whole)
        var order = Array(0..<whole)
        for place in 0..<count {
            order.swapAt(place, Int.random(in: place..<order.count, using: &generator))
            isDrawn[order[place]] = true
        }
        return isDrawn
    }

    /// Keeps the draws of the split apart from other uses of the same seed.
    private static let stream: UInt64 = 0x5350_4C49_54
}
