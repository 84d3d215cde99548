internal import Graph
internal import Learning
internal import LinearAlgebra

/// The operators by which messages pass along one direction of a graph in one step: each row adds up its neighbours,
/// divided by the square root of its weighted degree.
protocol Messages {
    /// `result = self * input`.
    func pass(_ input: Matrix, into result: Matrix)
    /// `result = transpose(self) * input`.
    func passBack(_ input: Matrix, into result: Matrix)
}

/// Messages of all neighbours, added up over the graph's own rows: it takes no memory but a number for each row.
///
/// The messages that leave a row are those that enter the others, so the transpose walks the edges the other way round.
struct FullMessages: Messages {
    private let graph: DirectedGraph
    private let direction: EdgeDirection
    private let masked: EdgeFold?
    /// By receiving row, what its messages are multiplied by.
    private let scales: [Float]

    /// Few enough that rows of very unequal degree spread over the cores.
    private static let rowsPerChunk = 128

    init(_ graph: DirectedGraph, _ direction: EdgeDirection, masked: EdgeFold?, silenced: Dropout? = nil) {
        self.graph = graph
        self.direction = direction
        self.masked = masked
        let meanWeight = graph.meanWeight
        var scales = [Float](repeating: 0, count: graph.nodeCount)
        scales.withUnsafeMutableBufferPointer { scales in
            let scales = scales.baseAddress
            parallelFor(count: graph.nodeCount, grain: Self.rowsPerChunk) { range in
                for row in range {
                    if silenced?.drops(row: row) ?? false { continue }
                    var weight: Float = 0
                    graph.forEachNeighbour(of: row, direction, except: masked) { weight += $1 }
                    scales![row] = weight > 0 ? 1 / (weight * meanWeight).squareRoot() : 0
                }
            }
        }
        self.scales = scales
    }

    func pass(_ input: Matrix, into result: Matrix) {
        gather(input, along: direction, into: result) { scales, row, _ in scales[row] }
    }

    func passBack(_ input: Matrix, into result: Matrix) {
        gather(input, along: direction == .out ? .in : .out, into: result) { scales, _, neighbour in scales[neighbour] }
    }

    @inline(__always)
    private func gather(
        _ input: Matrix, along direction: EdgeDirection, into result: Matrix,
        scale: (_ scales: UnsafePointer<Float>, _ row: Int, _ neighbour: Int) -> Float
    ) {
        let width = input.columns
        scales.withUnsafeBufferPointer { scales in
            guard let scales = scales.baseAddress else { return }
            parallelFor(count: graph.nodeCount, grain: Self.rowsPerChunk) { range in
                for row in range {
                    let sum = result[row: row]
                    sum.update(repeating: 0, count: width)
                    graph.forEachNeighbour(of: row, direction, except: masked) { neighbour, weight in
                        Rows.add(weight * scale(scales, row, neighbour), input[row: neighbour], to: sum, width)
                    }
                }
            }
        }
    }
}

/// Messages of the neighbours that a sampler draws; the messages of several draws are averaged.
struct SampledMessages: Messages {
    private let matrix: SparseMatrix
    private let transposed: SparseMatrix

    init(
        _ graph: DirectedGraph, _ direction: EdgeDirection, sampler: NeighbourhoodSampler, masked: EdgeFold?,
        silenced: Dropout? = nil, draws: Int, seed: UInt64
    ) {
        let drawn = (0..<draws).map {
            sampler.sample(graph, direction, masking: masked, seed: seed &+ UInt64($0))
        }
        matrix = Self.scaled(drawn, meanWeight: graph.meanWeight, silenced: silenced)
        transposed = matrix.transposed()
    }

    func pass(_ input: Matrix, into result: Matrix) { matrix.multiply(input, into: result) }
    func passBack(_ input: Matrix, into result: Matrix) { transposed.multiply(input, into: result) }

    private static func scaled(
        _ draws: [Neighbourhoods], meanWeight: Float, silenced: Dropout?
    ) -> SparseMatrix {
        let rows = draws[0].offsets.count - 1
        var offsets = [0]
        var indices: [UInt32] = []
        var values: [Float] = []
        let entries = draws.reduce(0) { $0 + $1.nodes.count }
        offsets.reserveCapacity(rows + 1)
        indices.reserveCapacity(entries)
        values.reserveCapacity(entries)
        for row in 0..<rows {
            for draw in draws where !(silenced?.drops(row: row) ?? false) {
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

/// The messages of one step.
struct MessagePassing {
    /// One operator for each kind of neighbour: those that a row leads to and those that lead to it, by purchases and,
    /// where there are any, by views.
    let operators: [any Messages]

    /// - Parameters:
    ///   - masked: the edges of either graph along which nothing passes.
    ///   - silenced: which rows get no messages, as products that nothing but features is known of; nil for none.
    ///   - draws: how many times to draw from a sampler; the messages of the draws are averaged.
    init(
        _ graphs: EdgeGraphs, sampler: NeighbourhoodSampler, masked: EdgeFold? = nil, silenced: Dropout? = nil,
        draws: Int = 1, seed: UInt64
    ) {
        let used = [graphs.purchases] + (graphs.views.edgeCount > 0 ? [graphs.views] : [])
        operators = used.flatMap { graph in
            [EdgeDirection.out, .in].map { direction -> any Messages in
                if sampler == .full { return FullMessages(graph, direction, masked: masked, silenced: silenced) }
                return SampledMessages(
                    graph, direction, sampler: sampler, masked: masked, silenced: silenced, draws: draws, seed: seed)
            }
        }
    }
}
