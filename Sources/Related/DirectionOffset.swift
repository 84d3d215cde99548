internal import Foundation
internal import Graph

/// A scalar for each node by which the scores of one-way edges and of their reverses are told apart.
///
/// Added to every score of a source it changes no ranking of that source, only `f(u,v) - f(v,u)`. It is
///
///     a_u = (p log(1 + outdegree u) - q log(1 + indegree u)) / g
///
/// where p, q >= 0 and g > 0 are fitted by logistic regression of held-out one-way edges on g (raw lead) + p (lead in
/// out-degree) + q (lead in in-degree). Weights of either sign, or edges that took part in the training, would find a
/// direction also where there is none.
struct DirectionOffset {
    private let outWeight: Double
    private let inWeight: Double

    /// One-way edges enough for three weights; more would only take time.
    private static let mostEdges = 20_000
    /// The least weight of the raw lead, which bounds the offset when the scores say nothing about direction.
    private static let leastRawWeight = 0.05
    /// Strength of the pull of the degree weights towards 0, in edges' worth of loss.
    private static let ridge = 1.0
    private static let rounds = 50

    /// Fits the offset.
    ///
    /// - Parameters:
    ///   - leads: the raw `f(u,v) - f(v,u)` of each held-out edge.
    ///   - edges: the held-out edges, beside `leads`; those whose reverse is in either graph are left out.
    ///   - train: the graph that the degrees are taken from.
    init(leads: [Float], of heldOut: DirectedGraph, train: DirectedGraph) {
        var rows: [SIMD3<Double>] = []
        for (number, edge) in heldOut.edges.enumerated() where rows.count < Self.mostEdges {
            let (u, v) = (Int(edge.source), Int(edge.target))
            if train.edge(from: v, to: u) != nil || heldOut.edge(from: v, to: u) != nil { continue }
            rows.append(
                SIMD3(
                    Double(leads[number]), log1p(Double(train.outDegree(u))) - log1p(Double(train.outDegree(v))),
                    log1p(Double(train.inDegree(v))) - log1p(Double(train.inDegree(u)))))
        }
        let weights = Self.fit(rows)
        outWeight = weights.y / weights.x
        inWeight = weights.z / weights.x
    }

    /// The offset of a source row.
    func value(_ row: Int, in graph: DirectedGraph) -> Float {
        Float(
            outWeight * log1p(Double(graph.outDegree(row))) - inWeight * log1p(Double(graph.inDegree(row))))
    }

    /// Newton steps on one weight at a time, each held to its bound; the loss is convex.
    private static func fit(_ rows: [SIMD3<Double>]) -> SIMD3<Double> {
        let least = SIMD3(leastRawWeight, 0, 0)
        var weights = SIMD3<Double>(1, 0, 0)
        for _ in 0..<rounds {
            for index in 0..<3 {
                // The raw lead is pulled towards 1, where the scores stay as they are.
                var slope = ridge * (weights[index] - (index == 0 ? 1 : 0))
                var curvature = ridge
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
