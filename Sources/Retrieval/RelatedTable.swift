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
/// - optional ones for searches, see `VectorIndex`, and for the categories of products, see `Categories`.
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

    /// What ranks an answer.
    public enum Ranker: String, Sendable {
        /// The inner product of source and target vectors alone.
        case innerProduct
        /// The inner product and what paths in the graph say; in lists only.
        case hybrid
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
    /// What ranked the lists: attribute `ranker` of the manifest, the inner product where it is not there.
    public let ranker: Ranker
    /// The coordinates, the first ones, that similar products are compared by: attribute `similar.dimension` of the
    /// manifest, all where it is not there.
    public let similarDimension: Int
    /// What makes source vectors of products that the table does not know; nil where it has no encoder.
    public let newProducts: NewProducts?

    private let ids: StringColumn
    private let index: IDIndex
    let sources: VectorIndex
    let targets: VectorIndex
    let listRows: UnsafePointer<UInt32>
    let listScores: UnsafePointer<Float>
    let categories: Categories?

    /// Takes an opened table after checking that it is a whole table of related products. What was found is remembered
    /// with the table; where it was before (``Table/remembered(_:)``), nothing that grows with the table is read.
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
        guard count > 0, count < Int(Self.noRow), (1...Self.largestDimension).contains(dimension) else {
            throw sourceTensor.error("has the shape \(sourceTensor.shape)")
        }
        let offsets = try table.tensor(named: "ids.offsets")
        let facts = table.remembered(Self.checks)
        ids = try StringColumn(
            offsets: offsets, bytes: table.tensor(named: "ids.bytes"), isChecked: facts != nil)
        guard ids.count == count else { throw offsets.error("is of \(ids.count) ids for \(count) products") }
        index = try IDIndex(ids: ids, slots: table.tensor(named: "ids.slots"), isChecked: facts != nil)
        let sourceNorm = try Self.largestNorm(sourceTensor, sources, dimension, remembered: facts?["sourceNorm"])
        let targetNorm = try Self.largestNorm(targetTensor, targets, dimension, remembered: facts?["targetNorm"])
        self.sources = try VectorIndex(
            table, matrix: "source",
            scan: Scan(
                rows: sources.baseAddress!, count: count, dimension: dimension,
                largestNorm: sourceNorm))
        self.targets = try VectorIndex(
            table, matrix: "target",
            scan: Scan(
                rows: targets.baseAddress!, count: count, dimension: dimension,
                largestNorm: targetNorm))
        categories = try Categories(table, count: count)
        ranker = try Self.ranker(table)
        similarDimension = try Self.similarDimension(table, dimension: dimension)
        newProducts = try NewProducts(table)
        let rowsTensor = try table.tensor(named: "lists.rows")
        let rows = try rowsTensor.elements(as: UInt32.self, shape: [count, nil])
        listLength = rowsTensor.shape[1]
        let scoresTensor = try table.tensor(named: "lists.scores")
        let scores = try scoresTensor.elements(as: Float.self, shape: rowsTensor.shape)
        if facts == nil { try Self.checkLists(rowsTensor, rows, scores, count: count) }

        self.table = table
        version = table.version
        listRows = rows.baseAddress!
        listScores = scores.baseAddress!
        if facts == nil { table.remember(Self.checks, ["sourceNorm": sourceNorm, "targetNorm": targetNorm]) }
    }

    /// Beyond any embedding of use; sums over the coordinates stay within the numbers that kernels count in.
    static let largestDimension = 65_536

    /// The checks of this kind of table; the number rises with what is checked or remembered.
    static let checks = kind + "/1"

    private static func ranker(_ table: Table) throws(TableError) -> Ranker {
        guard let name = table.attribute("ranker") else { return .innerProduct }
        if let ranker = Ranker(rawValue: name) { return ranker }
        throw TableError(
            path: table.path, reason: "has lists of the ranker \(name.quoted), which is not known",
            remedy: "publish the table again")
    }

    private static func similarDimension(_ table: Table, dimension: Int) throws(TableError) -> Int {
        guard let text = table.attribute("similar.dimension") else { return dimension }
        if let number = Int(text), (1...dimension).contains(number) { return number }
        throw TableError(
            path: table.path, reason: "has the attribute similar.dimension \(text.quoted), not 1 to \(dimension)",
            remedy: "correct the embeddings' metadata and publish the table again")
    }

    private static func largestNorm(
        _ tensor: TensorView, _ rows: UnsafeBufferPointer<Float>, _ dimension: Int, remembered: Double?
    ) throws(TableError) -> Double {
        if let remembered { return remembered }
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

    /// The source vector of a row, in the mapped file; valid as long as the table lives.
    public func sourceVector(of row: UInt32) -> UnsafeBufferPointer<Float> {
        precondition(row < count, "row \(row) is beyond the table")
        return UnsafeBufferPointer(start: sources.scan.rows + Int(row) * dimension, count: dimension)
    }
}

// MARK: - Quality

extension RelatedTable {
    /// The mean recall of approximate answers that was measured when the table was published: metric
    /// `invertedLists.recall@10` of the manifest; nil where it states none.
    public var statedRecall: Double? { table.metric("invertedLists.recall@10") }
}
