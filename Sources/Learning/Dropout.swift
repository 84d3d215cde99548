public import LinearAlgebra

/// Inverted dropout: each element is zeroed with the given probability, the others are divided by one minus it.
///
/// The mask is a function of seed and row, so the gradient draws it again instead of keeping it.
public struct Dropout: Sendable {
    private let probability: Float
    private let seed: UInt64

    private static let rowsPerChunk = 512

    /// - Parameters:
    ///   - probability: in 0..<1; 0 leaves everything as it is.
    ///   - seed: a new one for each step.
    public init(probability: Float, seed: UInt64) {
        precondition((0..<1).contains(probability), "the dropout probability must be at least 0 and below 1")
        self.probability = probability
        self.seed = seed
    }

    /// Whether a row as a whole is dropped, where whole rows are; nothing is divided then.
    public func drops(row: Int) -> Bool {
        var generator = SeededGenerator(seed: seed, stream: UInt64(row))
        return generator.uniform() < probability
    }

    /// Applies the mask in place; the gradient of the output becomes that of the input by the same call.
    public func apply(_ matrix: Matrix) {
        guard probability > 0 else { return }
        let threshold = UInt64(probability * 65536)
        let scale = 1 / (1 - probability)
        parallelFor(count: matrix.rows, grain: Self.rowsPerChunk) { range in
            for row in range {
                var generator = SeededGenerator(seed: seed, stream: UInt64(row))
                let values = matrix[row: row]
                var bits: UInt64 = 0
                for column in 0..<matrix.columns {
                    // Sixteen random bits for each element.
                    bits = column & 3 == 0 ? generator.next() : bits >> 16
                    values[column] *= bits & 0xFFFF < threshold ? 0 : scale
                }
            }
        }
    }
}
