public import LinearAlgebra

/// A sparse matrix of `Float` in compressed rows. A column may occur several times in a row; its values then add up.
public struct SparseMatrix: Sendable {
    /// The number of columns.
    public let columns: Int
    /// Where each row begins in ``indices`` and ``values``; one more entry than rows.
    public let offsets: [Int]
    /// The column of each entry.
    public let indices: [UInt32]
    /// The value of each entry.
    public var values: [Float]

    /// The number of rows.
    public var rows: Int { offsets.count - 1 }

    /// Makes a matrix of its compressed rows.
    public init(columns: Int, offsets: [Int], indices: [UInt32], values: [Float]) {
        precondition(offsets.last == indices.count && indices.count == values.count, "a matrix in disorder")
        self.columns = columns
        self.offsets = offsets
        self.indices = indices
        self.values = values
    }

    /// The transpose, by a counting sort: within a row, entries keep the order of the rows they come from.
    public func transposed() -> SparseMatrix {
        var offsets = [Int](repeating: 0, count: columns + 1)
        for index in indices { offsets[Int(index) + 1] += 1 }
        for column in 0..<columns { offsets[column + 1] += offsets[column] }
        var next = offsets
        var indices = [UInt32](repeating: 0, count: self.indices.count)
        var values = [Float](repeating: 0, count: self.indices.count)
        for row in 0..<rows {
            for entry in self.offsets[row]..<self.offsets[row + 1] {
                let column = Int(self.indices[entry])
                indices[next[column]] = UInt32(row)
                values[next[column]] = self.values[entry]
                next[column] += 1
            }
        }
        return SparseMatrix(columns: rows, offsets: offsets, indices: indices, values: values)
    }

    /// `result = scale * self * dense`, or added to `result`, on all cores; each row is summed in the order of its
    /// entries, so the bytes do not depend on the number of cores.
    public func multiply(_ dense: Matrix, scale: Float = 1, adding: Bool = false, into result: Matrix) {
        precondition(
            dense.rows == columns && result.rows == rows && dense.columns == result.columns,
            "the shapes of a sparse product do not fit")
        let width = dense.columns
        offsets.withUnsafeBufferPointer { offsets in
            indices.withUnsafeBufferPointer { indices in
                values.withUnsafeBufferPointer { values in
                    parallelFor(count: rows, grain: Self.rowsPerChunk) { range in
                        for row in range {
                            let sum = result[row: row]
                            if !adding { sum.update(repeating: 0, count: width) }
                            for entry in offsets[row]..<offsets[row + 1] {
                                Rows.add(scale * values[entry], dense[row: Int(indices[entry])], to: sum, width)
                            }
                        }
                    }
                }
            }
        }
    }

    /// Few enough that rows of very unequal length spread over the cores.
    private static let rowsPerChunk = 128
}
