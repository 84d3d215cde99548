internal import CKernels
internal import Glibc
internal import Tables

/// Rows of vectors in 8-bit codes: coordinate j of row i is about `coordinates[j] * scales[i] * codes[i, j]`.
///
/// A scale for each row keeps codes sharp whatever the lengths of the vectors; one for each coordinate does so where
/// one of them has a range of its own, as folded biases have, and is multiplied into the query. In a table, beside a
/// matrix X: `X.codes` I8 [n, d], `X.scales` F32 [n], `X.coordinates` F32 [2, d] with the scales of the coordinates and
/// the typical errors of their codes, and `X.error` F32 [1].
struct CodedRows {
    /// How much faster than a plain scan one of codes is, at least: what it reads is a quarter.
    static let scanSpeed = 3

    let codes: UnsafePointer<Int8>
    let scales: UnsafePointer<Float>
    let count: Int
    let dimension: Int
    private let coordinates: UnsafePointer<Float>
    private let typicalErrors: UnsafePointer<Float>
    private let error: Double
    private let kernels = kernels_best()

    /// The largest code.
    static let largestCode = 127.0
    /// No smaller scale or step is used: what is multiplied by it stays in the range of normal numbers.
    static let smallestScale = Float.leastNormalMagnitude

    /// `error` is the largest norm of a row's errors, in codes, each divided by its coordinate's typical one.
    init(
        codes: UnsafePointer<Int8>, scales: UnsafePointer<Float>, coordinates: UnsafePointer<Float>, error: Float,
        count: Int, dimension: Int
    ) {
        self.codes = codes
        self.scales = scales
        self.count = count
        self.dimension = dimension
        self.coordinates = coordinates
        typicalErrors = coordinates + dimension
        self.error = Double(error)
    }

    /// The codes of a table's matrix; nil where it has none.
    init?(_ table: Table, matrix: String, count: Int, dimension: Int) throws(TableError) {
        guard let tensor = table.tensorIfPresent(named: matrix + ".codes") else { return nil }
        let codes = try tensor.elements(as: Int8.self, shape: [count, dimension])
        let scales = try table.finite(matrix + ".scales", shape: [count], positive: true)
        let coordinates = try table.finite(matrix + ".coordinates", shape: [2, dimension], positive: true)
        guard coordinates.prefix(dimension).allSatisfy({ $0 <= 1 }) else {
            throw try table.tensor(named: matrix + ".coordinates").error("holds a scale above 1")
        }
        let error = try table.finite(matrix + ".error", shape: [1])
        guard error[0] >= 0 else { throw try table.tensor(named: matrix + ".error").error("is negative") }
        self.init(
            codes: codes.baseAddress!, scales: scales.baseAddress!, coordinates: coordinates.baseAddress!,
            error: error[0], count: count, dimension: dimension)
    }

    /// A query for the kernels in `steps`, which has room for ``dimension`` of them, and so much beside that a score
    /// with the codes is not below the true one.
    ///
    /// With w the query times the coordinates' scales, a the step and f = w - a steps: q . t = s (a steps . c + f . c
    /// + w . e), where e are the errors of the codes. By the Cauchy-Schwarz inequality the latter two are at most
    /// |f| |c| and |w * typical| |e / typical|; the second factors are bounded over all rows.
    func query(_ query: UnsafePointer<Float>, steps: UnsafeMutablePointer<Int16>) -> kernels_code_query {
        var (largest, squares, errors) = (0.0, 0.0, 0.0)
        for index in 0..<dimension {
            let weight = Double(query[index]) * Double(coordinates[index])
            largest = max(largest, abs(weight))
            squares += weight * weight
            let error = weight * Double(typicalErrors[index])
            errors += error * error
        }
        let longestCodes = (Self.largestCode + 1) * Double(dimension).squareRoot()
        // Products must fit 32 bits: |steps| |codes| is below 2^31, half a step of rounding in each included.
        let room = 0x1p31 - 1 - 0.5 * Double(dimension).squareRoot() * longestCodes
        let step = Float(max(largest / 32_700, squares.squareRoot() * longestCodes / room)).nextUp
        let usedStep = max(step, Self.smallestScale)
        let reciprocal = 1 / Double(usedStep)
        var rest = 0.0
        for index in 0..<dimension {
            let weight = Double(query[index]) * Double(coordinates[index])
            let rounded = (weight * reciprocal).rounded(.toNearestOrEven)
            steps[index] = Int16(rounded)
            let difference = weight - rounded * Double(usedStep)
            rest += difference * difference
        }
        let bound = rest.squareRoot() * longestCodes + errors.squareRoot() * error
        // What three operations in single precision lose, twice over.
        let rounding = 0x1p-21 * ((squares.squareRoot() + rest.squareRoot()) * longestCodes + bound)
        return kernels_code_query(steps: steps, step: usedStep, margin: Float(bound + rounding).nextUp)
    }

    /// The lowest score with codes that a row of the published score `threshold` can have.
    static func lowest(_ threshold: Float) -> Float {
        // The last product's rounding and that of the published score; the last term for numbers below the normal ones.
        threshold - abs(threshold) * 0x1p-21 - Float.leastNormalMagnitude
    }

    /// Offers all rows that can be among the best for `query` and that `filter` admits to `top`, scored by `exact`.
    func run(
        _ query: UnsafePointer<Float>, into top: inout TopRows, filter: RowFilter, exact: Scan,
        _ scratch: RelatedScratch
    ) {
        var coded = self.query(query, steps: scratch.search.steps(dimension))
        var start = 0
        while start < count {
            let block = min(Scan.blockRows, count - start)
            kernels.score_codes(
                &coded, codes + start * dimension, scales + start, nil, block, dimension, scratch.scores)
            let found = kernels.select(scratch.scores, block, Self.lowest(top.threshold), scratch.hits)
            for hit in 0..<found {
                let row = UInt32(start) + scratch.hits[hit]
                if filter.admits(row) { top.offer(ScoredRow(row: row, score: exact.score(query, row))) }
            }
            start += block
        }
    }
}

extension Table {
    /// The elements of a tensor of finite numbers, above zero where `positive`.
    func finite(
        _ name: String, shape: [Int?], positive: Bool = false
    ) throws(TableError) -> UnsafeBufferPointer<Float> {
        let view = try tensor(named: name)
        let elements = try view.elements(as: Float.self, shape: shape)
        guard remembered(RelatedTable.checks) == nil else { return elements }
        if let bad = elements.firstIndex(where: { !$0.isFinite || (positive && $0 <= 0) }) {
            throw view.error("holds \(elements[bad]) at place \(bad)")
        }
        return elements
    }
}
