/// Which categories an answer may hold, chosen for each request, and how often it holds each.
///
/// Owns its memory and keeps it; ``destroy()`` releases it. Places: 0 for products without a category, c + 1 for
/// category c.
struct CategoryChoice {
    /// A bit for each place, set where it may not be in the answer.
    private var closed = UnsafeMutableBufferPointer<UInt64>(start: nil, count: 0)
    /// The categories that were opened one by one, closed again or not.
    private(set) var opened = RowSet()
    /// Rows taken of each category, all 0 between two requests.
    private var taken = UnsafeMutableBufferPointer<UInt32>(start: nil, count: 0)
    /// Whether any place is closed.
    private(set) var isActive = false
    /// Whether only what was opened is open.
    private(set) var opensOnly = false
    /// The rows of all places that are open; as many as there are rows while the choice is not active.
    private(set) var admitted = 0

    /// The bits that a filter reads.
    var closedPlaces: UnsafePointer<UInt64> { UnsafePointer(closed.baseAddress!) }

    func isOpen(_ category: UInt32) -> Bool { !isClosed(Int(category) + 1) }

    private func isClosed(_ place: Int) -> Bool { closed[place >> 6] & (1 << UInt64(place & 63)) != 0 }

    /// Opens every place, or closes every place and lets only what ``open(_:of:)`` names in.
    mutating func start(_ categories: Categories, opensOnly: Bool) {
        let count = (categories.count + 1 + 63) / 64
        closed.grow(to: count, filling: 0)
        UnsafeMutableBufferPointer(rebasing: closed[..<count]).update(repeating: opensOnly ? .max : 0)
        opened.removeAll()
        admitted = opensOnly ? 0 : categories.ofRows.count
        self.opensOnly = opensOnly
        isActive = true
    }

    mutating func open(_ category: UInt32, of categories: Categories) {
        let place = Int(category) + 1
        guard isClosed(place) else { return }
        closed[place >> 6] &= ~(1 << UInt64(place & 63))
        admitted += categories.rows(of: category).count
        opened.insert(category)
    }

    mutating func close(_ category: UInt32, of categories: Categories) {
        if !isActive { start(categories, opensOnly: false) }
        let place = Int(category) + 1
        guard !isClosed(place) else { return }
        closed[place >> 6] |= 1 << UInt64(place & 63)
        admitted -= categories.rows(of: category).count
    }

    /// Counts a row of a category; false where there are `limit` already.
    mutating func take(_ category: UInt32, limit: Int, of categories: Categories) -> Bool {
        taken.grow(to: categories.count, filling: 0)
        guard taken[Int(category)] < limit else { return false }
        taken[Int(category)] += 1
        return true
    }

    func taken(_ category: UInt32) -> Int { Int(taken[Int(category)]) }

    /// Forgets the rows of a category that were counted.
    mutating func giveBack(_ category: UInt32) {
        if Int(category) < taken.count { taken[Int(category)] = 0 }
    }

    /// Opens everything.
    mutating func reset() {
        isActive = false
        opensOnly = false
    }

    func destroy() {
        closed.deallocate()
        opened.destroy()
        taken.deallocate()
    }
}
