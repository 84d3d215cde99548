internal import CKernels
public import Tables

/// Why a vector cannot be asked with.
public enum VectorError: Error, Equatable, Sendable {
    /// It has not as many coordinates as the table's vectors, which have this many.
    case wrongDimension(expected: Int)
    /// It holds an infinity or what is not a number.
    case notFinite
    /// Its norm is above 1e18, where scores would leave the range of `Float`.
    case tooLong
}

/// Related products from a mapped table of kind ``kind``.
///
/// Its tensors, for n products, vectors of d coordinates and lists of k entries:
/// - `ids.offsets` U64 [n + 1] and `ids.bytes` U8: the ids in UTF-8;
/// - `ids.slots` U32 [power of two]: the hash index of the ids (row + 1; 0 where empty);
/// - `source`, `target` F32 [n, d]: the score of v as related to u is `source[u] . target[v]`, computed in double
///   precision and rounded;
/// - `lists.rows` U32 and `lists.scores` F32 [n, k]: the k best rows of each product, itself left out, best first and
///   ties in the order of rows; shorter lists end in ``noRow``;
/// - optional ones for searches, see `VectorIndex`.
///
/// Everything that a query relies on was checked when it was made. Any number of threads may ask at once, each with a
/// ``RelatedScratch`` of its own.
public final class RelatedTable: @unchecked Sendable {
    /// The kind that the manifest of such a table states.
    public static let kind = "related-products"

    /// Which way an answer was found.
    public enum Path: Sendable {
        /// Looked up in the exact list that was built when the table was published.
        case list
        /// Found by an exact scan over all target vectors.
        case scan
        /// Found by an exact scan over 8-bit codes of all target vectors, with the same rows and scores as ``scan``.
        case quantizedScan
        /// Found in the lists of 4-bit codes that lie nearest, and scored exactly: nearly all of the best rows.
        case invertedLists
    }

    /// Fills the lists that are shorter than the others.
    public static let noRow = UInt32.max

    /// The mapped table.
    public let table: Table
    /// The table's version, a decimal number.
    public let version: String
    /// The number of products.
    public let count: Int
    /// The coordinates of a vector.
    public let dimension: Int
    /// The entries of a product's list.
    public let listLength: Int

    private let ids: StringColumn
    private let index: IDIndex
    private let source: UnsafePointer<Float>
    private let targets: VectorIndex
    private let listRows: UnsafePointer<UInt32>
    private let listScores: UnsafePointer<Float>

    /// Takes an opened table after checking that it is a whole table of related products.
    public init(_ table: Table) throws(TableError) {
        guard table.kind == Self.kind else {
            throw TableError(
                path: table.path, reason: "is a table of kind \(table.kind.quoted), '\(Self.kind)' is needed",
                remedy: "give the name of a table of related products")
        }
        let sourceTensor = try table.tensor(named: "source")
        let sources = try sourceTensor.elements(as: Float.self, shape: [nil, nil])
        let targetTensor = try table.tensor(named: "target")
        let targets = try targetTensor.elements(as: Float.self, shape: sourceTensor.shape)
        (count, dimension) = (sourceTensor.shape[0], sourceTensor.shape[1])
        guard count > 0, count < Int(Self.noRow), dimension > 0 else {
            throw sourceTensor.error("has the shape \(sourceTensor.shape)")
        }
        let offsets = try table.tensor(named: "ids.offsets")
        ids = try StringColumn(offsets: offsets, bytes: table.tensor(named: "ids.bytes"))
        guard ids.count == count else { throw offsets.error("is of \(ids.count) ids for \(count) products") }
        index = try IDIndex(ids: ids, slots: table.tensor(named: "ids.slots"))
        _ = try Self.largestNorm(sourceTensor, sources, dimension)
        let largestNorm = try Self.largestNorm(targetTensor, targets, dimension)
        let rowsTensor = try table.tensor(named: "lists.rows")
        let rows = try rowsTensor.elements(as: UInt32.self, shape: [count, nil])
        listLength = rowsTensor.shape[1]
        let scoresTensor = try table.tensor(named: "lists.scores")
        let scores = try scoresTensor.elements(as: Float.self, shape: rowsTensor.shape)
        try Self.checkLists(rowsTensor, rows, scores, count: count)

        self.table = table
        version = table.version
        source = sources.baseAddress!
        self.targets = try VectorIndex(
            table, matrix: "target",
            scan: Scan(rows: targets.baseAddress!, count: count, dimension: dimension, largestNorm: largestNorm))
        listRows = rows.baseAddress!
        listScores = scores.baseAddress!
    }

    private static func largestNorm(
        _ tensor: TensorView, _ rows: UnsafeBufferPointer<Float>, _ dimension: Int
    ) throws(TableError) -> Double {
        let count = rows.count / dimension
        guard let norm = VectorLimit.largestNorm(rows.baseAddress!, count: count, dimension: dimension) else {
            throw tensor.error("holds a vector that is not finite or longer than \(VectorLimit.norm)")
        }
        return norm
    }

    /// Every list holds rows of the table other than its own, each once, best first, and then nothing.
    private static func checkLists(
        _ tensor: TensorView, _ rows: UnsafeBufferPointer<UInt32>, _ scores: UnsafeBufferPointer<Float>, count: Int
    ) throws(TableError) {
        let length = rows.count / count
        // For each row, the last list that held it, plus one.
        var seen = [UInt32](repeating: 0, count: count)
        for list in 0..<count {
            var previous = ScoredRow(row: 0, score: .infinity)
            var ended = false
            for position in list * length..<(list + 1) * length {
                let entry = ScoredRow(row: rows[position], score: scores[position])
                if entry.row == noRow {
                    ended = true
                    continue
                }
                guard !ended, entry.row < count, entry.row != list, entry.score.isFinite, previous.precedes(entry),
                    seen[Int(entry.row)] != UInt32(list) + 1
                else { throw tensor.error("has a list that is not in order, that of row \(list)") }
                seen[Int(entry.row)] = UInt32(list) + 1
                previous = entry
            }
        }
    }
}

// MARK: - Products

extension RelatedTable {
    /// The row of a product; nil where the table does not know the id.
    public func row(of id: UnsafeRawBufferPointer) -> UInt32? {
        index.row(of: id)
    }

    /// The id of a row, UTF-8, in the mapped file; valid as long as the table lives.
    public func id(of row: UInt32) -> UnsafeRawBufferPointer {
        precondition(row < count, "row \(row) is beyond the table")
        return ids[Int(row)]
    }
}

// MARK: - Queries

extension RelatedTable {
    /// How much one row leads to another: the inner product of its source vector and the other's target vector.
    public func score(from row: UInt32, to other: UInt32) -> Float {
        precondition(row < count && other < count, "a row is beyond the table")
        return targets.scan.score(source + Int(row) * dimension, other)
    }

    /// The best products related to one product, without itself and what `scratch` excludes.
    ///
    /// At most `limit` rows are in ``RelatedScratch/results`` then; fewer where the table has no more. The list answers
    /// where it reaches far enough, a scan otherwise, with the same rows and scores.
    public func related(to row: UInt32, limit: Int, _ scratch: RelatedScratch) -> Path {
        precondition(row < count, "row \(row) is beyond the table")
        // No answer is longer than the table, whatever was asked for.
        let limit = min(limit, count)
        let entries = scratch.room(for: limit)
        let rows = listRows + Int(row) * listLength
        let scores = listScores + Int(row) * listLength
        var (listed, found) = (0, 0)
        while listed < listLength, found < limit, rows[listed] != Self.noRow {
            if !scratch.excluded.contains(rows[listed]) {
                entries[found] = ScoredRow(row: rows[listed], score: scores[listed])
                found += 1
            }
            listed += 1
        }
        if found == limit || listed == count - 1 {
            scratch.finish(count: found)
            return .list
        }
        scratch.exclude(row)
        return scan(source + Int(row) * dimension, limit: limit, scratch)
    }

    /// The best products for a cart, ranked by the mean of the source vectors of the rows that were added to `scratch`,
    /// at least one; the cart's own products are left out. A cart of one product is asked like that product.
    public func relatedToCart(limit: Int, _ scratch: RelatedScratch) -> Path {
        let cart = scratch.cart.members
        precondition(!cart.isEmpty, "the cart is empty")
        if cart.count == 1 { return related(to: cart[0], limit: limit, scratch) }
        for row in cart {
            precondition(row < count, "row \(row) is beyond the table")
            scratch.exclude(row)
        }
        let mean = scratch.vector(dimension: dimension)
        for coordinate in 0..<dimension {
            var sum = 0.0
            for row in cart { sum += Double(source[Int(row) * dimension + coordinate]) }
            mean[coordinate] = Float(sum / Double(cart.count))
        }
        return scan(mean, limit: limit, scratch)
    }

    /// The best products for a source vector of ``dimension`` coordinates, without what `scratch` excludes.
    public func related(
        toVector vector: UnsafeBufferPointer<Float>, limit: Int, _ scratch: RelatedScratch
    ) throws(VectorError) -> Path {
        guard vector.count == dimension else { throw .wrongDimension(expected: dimension) }
        guard vector.allSatisfy({ $0.isFinite }) else { throw .notFinite }
        let start = vector.baseAddress!
        guard kernels_dot(start, start, dimension) <= VectorLimit.norm * VectorLimit.norm else { throw .tooLong }
        return scan(start, limit: limit, scratch)
    }

    private func scan(_ query: UnsafePointer<Float>, limit: Int, _ scratch: RelatedScratch) -> Path {
        // No answer is longer than the table, whatever was asked for.
        let limit = min(limit, count)
        var top = TopRows(scratch.room(for: limit), limit: limit)
        var path = Path.scan
        if limit > 0 {
            path = targets.search(query, into: &top, filter: scratch.filter, exact: false, scratch)
        }
        top.sort()
        scratch.finish(count: top.count)
        return path
    }
}
