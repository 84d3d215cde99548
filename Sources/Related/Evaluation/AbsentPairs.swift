public import Graph
internal import LinearAlgebra

/// Pairs of nodes without an edge, to be told apart from test edges.
///
/// Uniform pairs are easy: most of them join nodes that nobody would think of, so a scorer that knows popularity alone
/// does well. Pairs drawn by degree have ends as popular as those of the test edges, and leave nothing to gain by it.
public struct AbsentPairs: Sendable {
    /// The pairs by how they were drawn: `uniform`, both ends drawn evenly, and `byDegree`, the source of one held-out edge
    /// and the target of another, so that nodes come in proportion to their degrees. (In proportion to degrees of the
    /// train graph they would be more popular than the ends of held-out edges, which lack those very edges there, and
    /// popularity would read below a half.)
    public let kinds: [(name: String, pairs: DirectedGraph)]

    /// Pairs enough for an area under a curve to two digits and a half; each may cost a row of scores.
    private static let mostPairs = 10_000
    /// A graph without enough pairs to draw gives fewer.
    private static let attemptsPerPair = 20

    /// Draws as many different pairs as there are held-out edges, up to a bound, of each kind; none is an edge of either
    /// graph or joins a node to itself.
    ///
    /// - Parameter seed: the same seed on the same graphs gives the same pairs.
    init(train: DirectedGraph, heldOut: DirectedGraph, seed: UInt64) {
        var generator = SeededGenerator(seed: seed, stream: Self.stream)
        let nodes = train.nodeCount
        func pairs(_ draw: (inout SeededGenerator) -> (source: Int, target: Int)) -> DirectedGraph {
            let wanted = min(heldOut.edgeCount, Self.mostPairs)
            var seen = Set<Int>()
            var edges: [Edge] = []
            for _ in 0..<wanted * Self.attemptsPerPair where edges.count < wanted {
                let (u, v) = draw(&generator)
                let isAbsent = u != v && train.edge(from: u, to: v) == nil && heldOut.edge(from: u, to: v) == nil
                if isAbsent, seen.insert(u * nodes + v).inserted {
                    edges.append(Edge(source: UInt32(u), target: UInt32(v)))
                }
            }
            return DirectedGraph(ids: train.ids, edges: edges)
        }
        let sources = heldOut.edges.map(\.source)
        kinds = [
            ("uniform", pairs { ($0.uniform(below: nodes), $0.uniform(below: nodes)) }),
            (
                "byDegree",
                pairs {
                    (
                        Int(sources[$0.uniform(below: sources.count)]),
                        Int(heldOut.outTargets[$0.uniform(below: sources.count)])
                    )
                }
            ),
        ]
    }

    /// Keeps these draws apart from other uses of the same seed.
    private static let stream: UInt64 = 0x4142_5345_4E54
}
