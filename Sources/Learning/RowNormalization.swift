public import LinearAlgebra

/// Scales the rows of a matrix to length one: `y = x / sqrt(|x|^2 + 1e-12)`, so that a row of zeros stays one.
public struct RowNormalization: Sendable {
    /// The divisor of each row, kept for the gradient.
    private var lengths: [Float]

    private static let epsilon: Float = 1e-12
    private static let rowsPerChunk = 512

    /// Normalises the rows in place.
    public init(_ x: Matrix) {
        let width = x.columns
        lengths = [Float](unsafeUninitializedCapacity: x.rows) { lengths, count in
            let lengths = lengths
            parallelFor(count: x.rows, grain: Self.rowsPerChunk) { range in
                for row in range {
                    let values = x[row: row]
                    let length = (Rows.dot(values, values, width) + Self.epsilon).squareRoot()
                    lengths[row] = length
                    for column in 0..<width { values[column] /= length }
                }
            }
            count = x.rows
        }
    }

    /// Turns the gradient of the normalised rows `y` into that of the rows before, in place:
    /// `dx = (dy - y (y . dy)) / length`.
    public func backward(_ gradient: Matrix, normalized y: Matrix) {
        let width = y.columns
        parallelFor(count: y.rows, grain: Self.rowsPerChunk) { range in
            for row in range {
                let values = gradient[row: row]
                Rows.add(-Rows.dot(y[row: row], values, width), y[row: row], to: values, width)
                let length = lengths[row]
                for column in 0..<width { values[column] /= length }
            }
        }
    }
}
