internal import CKernels
internal import Tables

/// Where a vector becomes rows: the ways to search one matrix of a table, and the choice between them.
struct VectorIndex {
    /// The exact scan in floats, which also gives published scores.
    let scan: Scan
    private let codes: CodedRows?
    private let lists: InvertedLists?

    /// What a table holds for the search of a matrix whose vectors were checked.
    init(_ table: Table, matrix: String, scan: Scan) throws(TableError) {
        self.scan = scan
        codes = try CodedRows(table, matrix: matrix, count: scan.count, dimension: scan.dimension)
        lists =
            try codes.map { codes throws(TableError) in
                try InvertedLists(table, matrix: matrix, rows: codes, exact: scan)
            } ?? nil
    }

    /// What was just built, for measuring it.
    init(scan: Scan, codes: CodedRows?, lists: InvertedLists?) {
        self.scan = scan
        self.codes = codes
        self.lists = lists
    }

    /// Offers the best rows for `query` that `filter` admits to `top`, and says which way they were found.
    ///
    /// All ways but the inverted lists are exact, with the same rows and scores to the bit. Lists are asked unless
    /// `exact`, and where their recall was measured for answers as long as this one, with what the filter leaves out;
    /// should they find fewer rows than `top` has places, an exact way answers. nil, with nothing in `top`, where a way
    /// that is needed takes more than `work`, in coordinates that a plain scan reads meanwhile.
    func search(
        _ query: UnsafePointer<Float>, into top: inout TopRows, filter: RowFilter, exact: Bool, work: Int = .max,
        _ scratch: RelatedScratch
    ) -> RelatedTable.Path? {
        if !exact, let lists, lists.take(query), let setting = lists.setting(for: top.limit, filter) {
            guard lists.work(setting) <= work else { return nil }
            lists.run(query, setting, into: &top, filter: filter, scratch)
            if top.count == top.limit { return .invertedLists }
            top.removeAll()
        }
        guard exactWork <= work else { return nil }
        if let codes {
            codes.run(query, into: &top, filter: filter, exact: scan, scratch)
            return .quantizedScan
        }
        scan.run(query, into: &top, filter: filter, scratch)
        return .scan
    }

    /// How long a search for `limit` rows takes, in coordinates that a plain scan reads meanwhile, where lists find as many.
    func work(limit: Int, _ filter: RowFilter, exact: Bool) -> Int {
        if !exact, let lists, let setting = lists.setting(for: limit, filter) { return lists.work(setting) }
        return exactWork
    }

    private var exactWork: Int { scan.count * scan.dimension / (codes == nil ? 1 : CodedRows.scanSpeed) }
}
