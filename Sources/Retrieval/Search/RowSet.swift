/// A set of rows that is filled and emptied for each request: a bit for each row, and the members in order.
///
/// Owns its memory and keeps it, so that a warm set allocates nothing; ``destroy()`` releases it.
struct RowSet {
    private var words = UnsafeMutableBufferPointer<UInt64>(start: nil, count: 0)
    private var storage = UnsafeMutableBufferPointer<UInt32>(start: nil, count: 0)
    private(set) var count = 0

    /// The members in the order in which they came.
    var members: UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(rebasing: storage[..<count]) }

    func contains(_ row: UInt32) -> Bool {
        let word = Int(row >> 6)
        return word < words.count && words[word] & (1 << UInt64(row & 63)) != 0
    }

    mutating func insert(_ row: UInt32) {
        guard !contains(row) else { return }
        let word = Int(row >> 6)
        if word >= words.count { words.grow(to: word + 1, filling: 0) }
        if count == storage.count { storage.grow(to: count + 1, filling: 0) }
        words[word] |= 1 << UInt64(row & 63)
        storage[count] = row
        count += 1
    }

    mutating func removeAll() {
        for index in 0..<count { words[Int(storage[index] >> 6)] = 0 }
        count = 0
    }

    func destroy() {
        words.deallocate()
        storage.deallocate()
    }
}

extension UnsafeMutableBufferPointer where Element: BitwiseCopyable {
    /// Moves to a larger buffer, at least twice as large, if there is not room for `minimum` elements.
    mutating func grow(to minimum: Int, filling value: Element) {
        guard count < minimum else { return }
        let larger = UnsafeMutableBufferPointer.allocate(capacity: Swift.max(minimum, 2 * count))
        larger.initialize(repeating: value)
        if count > 0 { larger.baseAddress!.update(from: baseAddress!, count: count) }
        deallocate()
        self = larger
    }
}
