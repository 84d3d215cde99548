internal import Foundation
internal import Graph
internal import Learning
internal import LinearAlgebra

/// Draws the shared negatives of a step: rows with probability proportional to (in-degree + 1) to some power, or, where
/// the graph has no more nodes than negatives are wanted, each node once.
struct NegativeSampler {
    private let count: Int
    private let cumulative: [Double]

    init(_ graph: DirectedGraph, count: Int, exponent: Double) {
        self.count = count
        var sum = 0.0
        cumulative = (0..<graph.nodeCount).map { row in
            sum += pow(Double(graph.inDegree(row) + 1), exponent)
            return sum
        }
    }

    func draw(using generator: inout SeededGenerator) -> SharedNegatives {
        let nodes = cumulative.count
        guard nodes > count else {
            return SharedNegatives(
                rows: (0..<UInt32(nodes)).map { $0 }, logExpectedCounts: [Float](repeating: 0, count: nodes))
        }
        let rows = (0..<count).map { _ in row(at: Double(generator.uniform()) * cumulative[nodes - 1]) }
        return SharedNegatives(rows: rows.map { UInt32($0) }, logExpectedCounts: rows.map(logExpectedCount))
    }

    private func logExpectedCount(_ row: Int) -> Float {
        let share = cumulative[row] - (row > 0 ? cumulative[row - 1] : 0)
        return Float(log(Double(count) * share / cumulative[cumulative.count - 1]))
    }

    /// The first row whose running sum exceeds a value.
    private func row(at value: Double) -> Int {
        var low = 0
        var high = cumulative.count - 1
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] > value { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
