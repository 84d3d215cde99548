internal import CKernels
internal import Glibc

/// Exact top-k over rows of vectors: a fast pass in single precision finds candidates, which are scored in double.
///
/// A score is the inner product in double precision, rounded to `Float`. The single-precision sum of d products is off
/// by at most d u |q| |t| to first order, u = 2^-24, in any order of summation (Higham, Accuracy and Stability of
/// Numerical Algorithms, 3.1). So a row whose fast score lies further than that below the worst score kept cannot be
/// in the answer, and what is left out is left out rightly.
struct Scan {
    /// Rows for one call of the kernels: their scores stay in the nearest cache, and the threshold rises soon.
    static let blockRows = 256

    let rows: UnsafePointer<Float>
    let count: Int
    let dimension: Int
    /// The largest Euclidean norm of a row.
    let largestNorm: Double
    private let kernels = kernels_best()

    init(rows: UnsafePointer<Float>, count: Int, dimension: Int, largestNorm: Double) {
        self.rows = rows
        self.count = count
        self.dimension = dimension
        self.largestNorm = largestNorm
    }

    /// Offers all rows that can be among the best for `query` and that `filter` admits to `top`.
    func run(
        _ query: UnsafePointer<Float>, into top: inout TopRows, filter: RowFilter, _ scratch: RelatedScratch
    ) {
        let margin = margin(for: query)
        var start = 0
        while start < count {
            let block = min(Self.blockRows, count - start)
            kernels.dot_rows(query, rows + start * dimension, block, dimension, scratch.scores)
            offer(
                scratch.scores, from: start, count: block, for: query, margin: margin, hits: scratch.hits, into: &top
            ) { row in !filter.admits(row) }
            start += block
        }
    }

    /// Offers those of `count` rows from `start` on whose fast scores pass, and which `isExcluded` lets in.
    @inline(__always)
    func offer(
        _ scores: UnsafePointer<Float>, from start: Int, count: Int, for query: UnsafePointer<Float>, margin: Double,
        hits: UnsafeMutablePointer<UInt32>, into top: inout TopRows, isExcluded: (UInt32) -> Bool
    ) {
        let found = kernels.select(scores, count, Self.lowest(top.threshold, margin), hits)
        for hit in 0..<found {
            let row = UInt32(start) + hits[hit]
            if !isExcluded(row) { top.offer(ScoredRow(row: row, score: score(query, row))) }
        }
    }

    /// The published score of one row.
    func score(_ query: UnsafePointer<Float>, _ row: UInt32) -> Float {
        Float(exactScore(query, row))
    }

    /// The published score of one row before it is rounded.
    func exactScore(_ query: UnsafePointer<Float>, _ row: UInt32) -> Double {
        kernels_dot(query, rows + Int(row) * dimension, dimension)
    }

    /// How far below its true score a row's fast score can be, and half a step of `Float` for each rounding beside.
    func margin(for query: UnsafePointer<Float>) -> Double {
        let unit = 0x1p-24
        let norms = kernels_dot(query, query, dimension).squareRoot() * largestNorm
        // One per cent for the higher orders; the last term for products too small for a normal `Float`.
        return Double(dimension + 4) * (1.01 * unit * norms + Double(Float.leastNonzeroMagnitude))
    }

    /// The lowest fast score that a row with the score `threshold` can have, rounded down.
    private static func lowest(_ threshold: Float, _ margin: Double) -> Float {
        Float(Double(threshold) - margin).nextDown
    }
}

/// Vectors whose inner products stay within the range of `Float`.
enum VectorLimit {
    /// The largest norm: two such vectors give 1e36 at most, `Float` ends at 3e38.
    static let norm = 1e18

    /// The largest norm of `count` rows; nil where one is too large, or holds what is not a finite number.
    static func largestNorm(_ rows: UnsafePointer<Float>, count: Int, dimension: Int) -> Double? {
        var largest = 0.0
        for row in 0..<count {
            let vector = rows + row * dimension
            let square = kernels_dot(vector, vector, dimension)
            guard square <= norm * norm else { return nil }
            largest = max(largest, square)
        }
        return largest.squareRoot()
    }
}
