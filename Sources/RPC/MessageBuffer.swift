/// The request's message with its prefix while it comes in, then the response's: one buffer, since a unary handler
/// no longer needs the request once it has responded. Kept with the pooled call.
struct MessageBuffer {
    /// What every pooled call holds without being charged; typical requests and answers fit.
    static let initialCapacity = 1 << 10

    private let small: UnsafeMutableRawBufferPointer
    /// Memory of the loop's budget, where the small buffer does not do.
    private var large: UnsafeMutableRawBufferPointer?
    private(set) var base: UnsafeMutableRawPointer
    private(set) var count = 0
    private var capacity = Self.initialCapacity
    /// Bytes of prefix and message, known once the prefix is complete.
    private var expected = 0

    init() {
        small = .allocate(byteCount: Self.initialCapacity, alignment: 16)
        base = small.baseAddress!
    }

    /// Ends the buffer, after ``clear(budget:)`` or with the loop itself.
    func destroy() {
        large?.deallocate()
        small.deallocate()
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Appends what arrived; the prefix is judged as soon as it is complete, before its message takes memory.
    mutating func append(
        _ chunk: UnsafeRawBufferPointer, limit: Int, isEncoded: Bool, budget: inout ConnectionBudget
    ) throws(Rejection) {
        var chunk = chunk
        if count < MessagePrefix.byteCount {
            let taken = min(MessagePrefix.byteCount &- count, chunk.count)
            copy(UnsafeRawBufferPointer(rebasing: chunk[..<taken]))
            chunk = UnsafeRawBufferPointer(rebasing: chunk[taken...])
            guard count == MessagePrefix.byteCount else { return }
            expected =
                try MessagePrefix.byteCount
                &+ MessagePrefix.messageLength(bytes, limit: limit, isEncoded: isEncoded)
        }
        guard chunk.count <= expected &- count else { throw .moreThanOneMessage }
        try reserve(count &+ chunk.count, atMost: expected, keeping: count, budget: &budget)
        copy(chunk)
    }

    /// The request's message, once the request has ended.
    func message() throws(Rejection) -> UnsafeRawBufferPointer {
        guard count > 0 else { throw .noMessage }
        guard count >= MessagePrefix.byteCount, count == expected else { throw .truncatedMessage }
        return UnsafeRawBufferPointer(rebasing: bytes[MessagePrefix.byteCount...])
    }

    /// Replaces what is here by a response, `bytes` with its prefix.
    mutating func replace(with bytes: UnsafeRawBufferPointer, budget: inout ConnectionBudget) -> Bool {
        do {
            try reserve(bytes.count, atMost: bytes.count, keeping: 0, budget: &budget)
        } catch {
            return false
        }
        count = 0
        copy(bytes)
        return true
    }

    /// Empties the buffer for the next call.
    mutating func clear(budget: inout ConnectionBudget) {
        count = 0
        expected = 0
        guard let large else { return }
        budget.release(large)
        self.large = nil
        base = small.baseAddress!
        capacity = Self.initialCapacity
    }

    /// Room for `needed` bytes; memory grows as bytes arrive, never on the word of a prefix alone.
    private mutating func reserve(
        _ needed: Int, atMost most: Int, keeping kept: Int, budget: inout ConnectionBudget
    ) throws(Rejection) {
        guard needed > capacity else { return }
        let wanted = min(max(capacity &* 2, needed), max(most, needed))
        guard let larger = budget.allocate(wanted) else { throw .overloaded }
        larger.baseAddress!.copyMemory(from: base, byteCount: kept)
        if let large { budget.release(large) }
        large = larger
        base = larger.baseAddress!
        capacity = larger.count
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        (base + count).copyMemory(from: start, byteCount: bytes.count)
        count &+= bytes.count
    }
}
