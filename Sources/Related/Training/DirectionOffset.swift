internal import Foundation
internal import Graph

/// A scalar for each node by which the scores of one-way edges and of their reverses are told apart.
///
/// Added to every score of a source it changes no ranking of that source, only `f(u,v) - f(v,u)`. It is
///
///     a_u = h (p log(1 + outdegree u) - q log(1 + indegree u)) / g
///
/// The weights of the degrees, p and q, are fitted by logistic regression to the one-way edges of the train graph, each
/// with the degrees that its ends have without it; then the weights g of the raw lead `f(u,v) - f(v,u)` and h of the
/// degrees are fitted to edges that took no part in the training. All are held to be non-negative: weights of either
/// sign, or leads of edges that were trained on, would find a direction also where there is none.
struct DirectionOffset: Codable {
    /// What the logarithm of the out-degree counts.
    let outWeight: Double
    /// What the logarithm of the in-degree counts, against it.
    let inWeight: Double

    /// One-way edges enough for two weights; more would only take time.
    private static let mostEdges = 20_000
    /// The least weight of the raw lead, which bounds the offset when the scores say nothing about direction.
    private static let leastRawWeight = 0.05

    /// Fits the offset.
    ///
    /// - Parameters:
    ///   - leads: the raw `f(u,v) - f(v,u)` of each held-out edge.
    ///   - heldOut: the held-out edges, beside `leads`; those whose reverse is in either graph are left out.
    ///   - train: the graph that the degrees are taken from.
    init(leads: [Float], of heldOut: DirectedGraph, train: DirectedGraph) {
        let degrees = Self.fit(Self.trainLeads(train), start: SIMD2(0, 0), least: SIMD2(0, 0))
        var rows: [SIMD2<Double>] = []
        for (number, edge) in heldOut.edges.enumerated() where rows.count < Self.mostEdges {
            let (u, v) = (Int(edge.source), Int(edge.target))
            if train.edge(from: v, to: u) != nil || heldOut.edge(from: v, to: u) != nil { continue }
            let lead = Self.degreeLead(u, v, train, without: 0)
            rows.append(SIMD2(Double(leads[number]), (lead * degrees).sum()))
        }
        let weights = Self.fit(rows, start: SIMD2(1, 0), least: SIMD2(Self.leastRawWeight, 0))
        outWeight = weights.y / weights.x * degrees.x
        inWeight = weights.y / weights.x * degrees.y
    }

    /// The offset of a source row.
    func value(_ row: Int, in graph: DirectedGraph) -> Float {
        Float(
            outWeight * log1p(Double(graph.outDegree(row))) - inWeight * log1p(Double(graph.inDegree(row))))
    }

    /// The degree leads of one-way edges of the train graph, evenly spread over it.
    private static func trainLeads(_ train: DirectedGraph) -> [SIMD2<Double>] {
        let stride = train.edgeCount / mostEdges + 1
        return train.edges.enumerated().compactMap { number, edge in
            let (u, v) = (Int(edge.source), Int(edge.target))
            guard number % stride == 0, train.edge(from: v, to: u) == nil else { return nil }
            return degreeLead(u, v, train, without: 1)
        }
    }

    /// How far u leads v in out-degree and v leads u in in-degree, on a logarithmic scale, when `count` edges from u to v
    /// are not counted.
    private static func degreeLead(_ u: Int, _ v: Int, _ graph: DirectedGraph, without count: Int) -> SIMD2<Double> {
        SIMD2(
            log1p(Double(graph.outDegree(u) - count)) - log1p(Double(graph.outDegree(v))),
            log1p(Double(graph.inDegree(v) - count)) - log1p(Double(graph.inDegree(u))))
    }

    /// Logistic regression of edges on their leads, by Newton steps on one weight at a time, each held to its bound. A
    /// ridge as strong as one edge pulls to the start, so that no weight runs away where there are few edges.
    private static func fit(
        _ rows: [SIMD2<Double>], start: SIMD2<Double>, least: SIMD2<Double>
    ) -> SIMD2<Double> {
        var weights = start
        for _ in 0..<50 {
            for index in 0..<2 {
                var slope = weights[index] - start[index]
                var curvature = 1.0
                for row in rows {
                    let miss = 1 / (1 + exp((row * weights).sum()))
                    slope -= miss * row[index]
                    curvature += miss * (1 - miss) * row[index] * row[index]
                }
                weights[index] = max(least[index], weights[index] - slope / curvature)
            }
        }
        return weights
    }
}
