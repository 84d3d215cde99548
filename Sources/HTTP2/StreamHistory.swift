/// What became of the streams that are no longer open: enough to tell a frame that was under way when we ended its
/// stream, which is nobody's fault, from one that the peer must not send (RFC 9113, 5.1 and 5.1.1).
///
/// Streams that the peer ended leave no trace; of the others a few ranges are kept, and what falls out of these is
/// given the benefit of the doubt.
struct StreamHistory {
    enum Fate {
        /// Never opened, and closed by the opening of a later one.
        case skipped
        /// Reset or refused by us before the peer was done: frames may be under way.
        case endedByUs
        /// The peer has said that nothing more comes.
        case endedByPeer
    }

    private struct Entry {
        var first: Int32 = 0
        var last: Int32 = 0
        var fate = Fate.skipped
    }

    /// Clients number their streams one after the other and are reset rarely, so that few ranges say everything.
    private static let capacity = 16

    /// The last stream that the peer has opened.
    private(set) var latest: Int32 = 0
    /// Streams up to this one may have fallen out of the entries.
    private var forgotten: Int32 = 0
    private var entries = InlineArray<16, Entry>(repeating: Entry())
    private var count = 0

    /// Notes that the peer opens `id`, which is greater than ``latest``.
    @inline(__always)
    mutating func open(_ id: Int32) {
        let expected = latest == 0 ? 1 : latest &+ 2
        if id != expected { add(first: expected, last: id &- 2, .skipped) }
        latest = id
    }

    /// Notes that we ended `id` before the peer did.
    mutating func noteEndedByUs(_ id: Int32) { add(first: id, last: id, .endedByUs) }

    /// What became of `id`, which is not open and not greater than ``latest``.
    func fate(of id: Int32) -> Fate {
        for index in 0..<count where entries[index].first <= id && id <= entries[index].last {
            return entries[index].fate
        }
        return id <= forgotten ? .endedByUs : .endedByPeer
    }

    @inline(never)
    private mutating func add(first: Int32, last: Int32, _ fate: Fate) {
        if count > 0, entries[count - 1].fate == fate, entries[count - 1].last &+ 2 == first {
            entries[count - 1].last = last
            return
        }
        if count == Self.capacity { forgetLowest() }
        entries[count] = Entry(first: first, last: last, fate: fate)
        count += 1
    }

    private mutating func forgetLowest() {
        var lowest = 0
        for index in 1..<count where entries[index].last < entries[lowest].last { lowest = index }
        forgotten = max(forgotten, entries[lowest].last)
        for index in lowest..<(count - 1) { entries[index] = entries[index + 1] }
        count -= 1
    }
}
