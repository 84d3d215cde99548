internal import LinearAlgebra

/// Product quantisation of residuals by 16 centres for every two coordinates.
struct ProductQuantizer: Sendable {
    /// Rounds of k-means for each code's centres.
    private static let iterations = 15

    /// Codes of a vector, a whole number of groups; those beyond the dimension have centres of zero.
    let codes: Int
    private let dimension: Int
    /// First coordinates of the 16 centres of a code, then the second ones.
    private(set) var codebooks: [Float]

    /// Learns the centres from residuals.
    init(_ residuals: Matrix, seed: UInt64) {
        dimension = residuals.columns
        codes = InvertedLists.groups(residuals.columns) * InvertedLists.groupCodes
        var codebooks = [Float](repeating: 0, count: codes * InvertedLists.centres * InvertedLists.codeDimension)
        codebooks.withUnsafeMutableBufferPointer { codebooks in
            nonisolated(unsafe) let codebooks = codebooks.baseAddress!
            parallelFor(count: (residuals.columns + 1) / 2, grain: 1) { range in
                for code in range {
                    let centres = codebooks + code * InvertedLists.centres * InvertedLists.codeDimension
                    Self.learn(residuals, code, centres, seed: seed)
                }
            }
        }
        self.codebooks = codebooks
    }

    private static func learn(
        _ residuals: Matrix, _ code: Int, _ centres: UnsafeMutablePointer<Float>, seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed, stream: UInt64(code))
        let count = InvertedLists.centres
        for centre in 0..<count {
            let (x, y) = part(residuals[row: generator.uniform(below: residuals.rows)], code, residuals.columns)
            (centres[centre], centres[count + centre]) = (x, y)
        }
        for _ in 0..<iterations {
            var sums = [(x: Double, y: Double, count: Int)](repeating: (0, 0, 0), count: count)
            for row in 0..<residuals.rows {
                let (x, y) = part(residuals[row: row], code, residuals.columns)
                let centre = nearest(x, y, centres)
                sums[centre].x += Double(x)
                sums[centre].y += Double(y)
                sums[centre].count += 1
            }
            for centre in 0..<count where sums[centre].count > 0 {
                centres[centre] = Float(sums[centre].x / Double(sums[centre].count))
                centres[count + centre] = Float(sums[centre].y / Double(sums[centre].count))
            }
        }
    }

    /// The two coordinates of a code; beyond the last is zero.
    private static func part(_ vector: UnsafePointer<Float>, _ code: Int, _ dimension: Int) -> (Float, Float) {
        (vector[2 * code], 2 * code + 1 < dimension ? vector[2 * code + 1] : 0)
    }

    private static func nearest(_ x: Float, _ y: Float, _ centres: UnsafePointer<Float>) -> Int {
        var (best, least) = (0, Float.infinity)
        for centre in 0..<InvertedLists.centres {
            let (a, b) = (x - centres[centre], y - centres[InvertedLists.centres + centre])
            let distance = a * a + b * b
            if distance < least { (best, least) = (centre, distance) }
        }
        return best
    }

    /// The codes of a residual.
    ///
    /// Errors along the row's own direction change the scores of the queries that find it, others hardly do: with
    /// `direction`, the row as a unit vector, they weigh `parallelWeight` times as much, by coordinate descent (Guo et
    /// al. 2020, section 3).
    func encode(
        _ residual: UnsafePointer<Float>, direction: UnsafePointer<Float>, parallelWeight: Float,
        _ centres: UnsafePointer<Float>, into result: UnsafeMutablePointer<UInt8>
    ) {
        let used = (dimension + 1) / 2
        // The error along the direction, summed over all codes.
        var along: Float = 0
        for code in 0..<codes {
            guard code < used else {
                result[code] = 0
                continue
            }
            let (x, y) = Self.part(residual, code, dimension)
            let (u, v) = Self.part(direction, code, dimension)
            let table = centres + code * InvertedLists.centres * InvertedLists.codeDimension
            let centre = Self.nearest(x, y, table)
            result[code] = UInt8(centre)
            along += (x - table[centre]) * u + (y - table[InvertedLists.centres + centre]) * v
        }
        guard parallelWeight > 1 else { return }
        for _ in 0..<Self.descents {
            for code in 0..<used {
                let (x, y) = Self.part(residual, code, dimension)
                let (u, v) = Self.part(direction, code, dimension)
                let table = centres + code * InvertedLists.centres * InvertedLists.codeDimension
                let old = Int(result[code])
                let rest = along - (x - table[old]) * u - (y - table[InvertedLists.centres + old]) * v
                var (best, least, alongBest) = (old, Float.infinity, along)
                for centre in 0..<InvertedLists.centres {
                    let (a, b) = (x - table[centre], y - table[InvertedLists.centres + centre])
                    let total = rest + a * u + b * v
                    let loss = a * a + b * b + (parallelWeight - 1) * total * total
                    if loss < least { (best, least, alongBest) = (centre, loss, total) }
                }
                result[code] = UInt8(best)
                along = alongBest
            }
        }
    }

    /// Rounds over all codes; more change next to nothing.
    private static let descents = 2
}
