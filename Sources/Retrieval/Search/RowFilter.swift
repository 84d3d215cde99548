/// Which rows an answer may hold. Borrows a scratch's memory: valid during one query.
struct RowFilter {
    /// Rows that are left out.
    let excluded: RowSet

    /// Whether the answer may hold a row.
    @inline(__always)
    func admits(_ row: UInt32) -> Bool { !excluded.contains(row) }

    /// The share of all rows that is let in, before exclusions: what a search expects to pass over.
    var share: Double { 1 }
}
