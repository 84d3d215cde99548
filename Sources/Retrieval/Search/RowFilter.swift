/// Which rows an answer may hold. Borrows a scratch's memory: valid during one query.
struct RowFilter {
    /// Rows that are left out.
    let excluded: RowSet
    /// The category of each row; nil where all categories are let in.
    let categories: UnsafePointer<UInt32>?
    /// A bit for each category plus one, and bit 0 for no category: set where it is not let in.
    let closed: UnsafePointer<UInt64>?
    /// The share of all rows that is let in, before exclusions: what a search expects to pass over.
    let share: Double

    /// Lets in all rows but some, of any category.
    init(excluded: RowSet) {
        self.excluded = excluded
        (categories, closed, share) = (nil, nil, 1)
    }

    /// Lets in all rows but some, of the categories of a choice that is active.
    init(excluded: RowSet, _ choice: CategoryChoice, of categories: Categories) {
        self.excluded = excluded
        self.categories = categories.ofRows.baseAddress!
        closed = choice.closedPlaces
        share = Double(choice.admitted) / Double(categories.ofRows.count)
    }

    /// Whether the answer may hold a row.
    @inline(__always)
    func admits(_ row: UInt32) -> Bool {
        guard !excluded.contains(row) else { return false }
        guard let categories, let closed else { return true }
        // No category is the largest number: one more is 0.
        let place = categories[Int(row)] &+ 1
        return closed[Int(place >> 6)] & (1 << UInt64(place & 63)) == 0
    }
}
