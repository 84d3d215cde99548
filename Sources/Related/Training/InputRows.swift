internal import Learning
internal import LinearAlgebra

/// The noise that training adds to the input of one step.
struct InputNoise {
    /// Drops coordinates.
    let dropout: Dropout
    /// Drops whole learned rows of nodes with features, so that features alone come to suffice.
    let rowDropout: Dropout
}

/// The features of the nodes as a sparse matrix (nodes x features), each row divided by the square root of the number of
/// its features, and which rows must do with them alone.
struct InputFeatures {
    let matrix: SparseMatrix
    let transposed: SparseMatrix
    /// By node, whether its learned row takes part: not where no edge ever trains it.
    let hasRow: [Bool]

    init(_ matrix: SparseMatrix, hasRow: [Bool]) {
        self.matrix = matrix
        transposed = matrix.transposed()
        self.hasRow = hasRow
    }
}

/// The input of the encoder: a learned row for each node and, where features are given, the sum of theirs.
final class InputRows {
    /// The learned row of each node.
    let rows: Parameter
    /// The learned row of each feature; nil without features.
    let features: Parameter?
    private let given: InputFeatures?

    var parameters: [Parameter] { [rows] + (features.map { [$0] } ?? []) }

    private static let rowsPerChunk = 1024

    init(nodeCount: Int, dimension: Int, features given: InputFeatures?, using generator: inout SeededGenerator) {
        func normal(_ rows: Int) -> Parameter {
            let value = Matrix(rows: rows, columns: dimension)
            for index in 0..<value.count { value.elements[index] = 0.1 * generator.normal() }
            return Parameter(value)
        }
        rows = normal(nodeCount)
        features = given.map { normal($0.matrix.columns) }
        self.given = given
    }

    func forward(_ noise: InputNoise?, into output: Matrix) {
        output.elements.update(from: rows.value.elements, count: rows.value.count)
        if let given, let features {
            dropRows(of: output, given, noise)
            given.matrix.multiply(features.value, adding: true, into: output)
        }
        noise?.dropout.apply(output)
    }

    /// Turns the gradient of the input, which it overwrites, into those of the parameters.
    func backward(_ gradient: Matrix, _ noise: InputNoise?) {
        noise?.dropout.apply(gradient)
        if let given, let features {
            given.transposed.multiply(gradient, into: features.gradient)
            dropRows(of: gradient, given, noise)
        }
        rows.gradient.elements.update(from: gradient.elements, count: gradient.count)
    }

    private func dropRows(of matrix: Matrix, _ given: InputFeatures, _ noise: InputNoise?) {
        parallelFor(count: matrix.rows, grain: Self.rowsPerChunk) { range in
            for row in range {
                let hasFeatures = given.matrix.offsets[row] < given.matrix.offsets[row + 1]
                let isDropped = hasFeatures && noise?.rowDropout.drops(row: row) ?? false
                if isDropped || !given.hasRow[row] { matrix[row: row].update(repeating: 0, count: matrix.columns) }
            }
        }
    }
}
