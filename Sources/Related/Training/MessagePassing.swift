internal import Graph
internal import Learning

/// The operators by which messages pass in one step: each row of `out` adds up the row's out-neighbours, each row of
/// `in` its in-neighbours, both divided by the square root of the row's weighted degree.
struct MessagePassing {
    let out: SparseMatrix
    let outTransposed: SparseMatrix
    let `in`: SparseMatrix
    let inTransposed: SparseMatrix

    /// - Parameters:
    ///   - isMasked: by edge number, the edges along which nothing passes.
    ///   - draws: how many times to draw from a sampler; the messages of the draws are averaged.
    init(
        _ graph: DirectedGraph, sampler: NeighbourhoodSampler, isMasked: [Bool]? = nil, draws: Int = 1, seed: UInt64
    ) {
        func operators(_ direction: EdgeDirection) -> SparseMatrix {
            let drawn = (0..<(sampler == .full ? 1 : draws)).map { draw in
                sampler.sample(graph, direction, masking: isMasked, seed: seed &+ UInt64(draw))
            }
            return Self.scaled(drawn, meanWeight: graph.meanWeight)
        }
        out = operators(.out)
        outTransposed = out.transposed()
        `in` = operators(.in)
        inTransposed = `in`.transposed()
    }

    private static func scaled(_ draws: [Neighbourhoods], meanWeight: Float) -> SparseMatrix {
        let rows = draws[0].offsets.count - 1
        var offsets = [0]
        var indices: [UInt32] = []
        var values: [Float] = []
        let entries = draws.reduce(0) { $0 + $1.nodes.count }
        offsets.reserveCapacity(rows + 1)
        indices.reserveCapacity(entries)
        values.reserveCapacity(entries)
        for row in 0..<rows {
            for draw in draws {
                let places = draw.offsets[row]..<draw.offsets[row + 1]
                let degree = draw.weights[places].reduce(0, +) / meanWeight
                let scale = 1 / (degree.squareRoot() * meanWeight * Float(draws.count))
                indices.append(contentsOf: draw.nodes[places])
                for place in places { values.append(draw.weights[place] * scale) }
            }
            offsets.append(indices.count)
        }
        return SparseMatrix(columns: rows, offsets: offsets, indices: indices, values: values)
    }
}

extension DirectedGraph {
    /// The mean weight of the edges: the unit in which training measures weights.
    var meanWeight: Float {
        guard edgeCount > 0 else { return 1 }
        return Float(weights.reduce(0.0) { $0 + Double($1) } / Double(edgeCount))
    }
}
