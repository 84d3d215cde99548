/// Bytes that calls of one loop hold beyond their small buffers: the loop sheds load before memory runs out.
struct ByteBudget {
    private(set) var available: Int
    /// The least that was available since the mark was last set.
    private var lowest: Int

    init(bytes: Int) {
        available = bytes
        lowest = bytes
    }

    /// Whether `bytes` or more were given back since the peak; the mark is then set anew.
    mutating func fallFromPeak(atLeast bytes: Int) -> Bool {
        guard available - lowest >= bytes else { return false }
        lowest = available
        return true
    }

    mutating func take(_ bytes: Int) -> Bool {
        guard bytes <= available else { return false }
        available &-= bytes
        lowest = min(lowest, available)
        return true
    }

    mutating func give(_ bytes: Int) { available &+= bytes }
}

/// The request's message with its prefix while it comes in, then the response's: one buffer, since a unary handler
/// no longer needs the request once it has responded. Kept with the pooled call.
struct MessageBuffer {
    /// What every pooled call holds without being charged; typical requests and answers fit.
    static let initialCapacity = 1 << 10

    private(set) var base: UnsafeMutableRawPointer
    private(set) var count = 0
    private var capacity = Self.initialCapacity
    /// Bytes of prefix and message, known once the prefix is complete.
    private var expected = 0

    init() { base = .allocate(byteCount: Self.initialCapacity, alignment: 16) }

    func destroy() { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Appends what arrived; the prefix is judged as soon as it is complete, before its message takes memory.
    mutating func append(
        _ chunk: UnsafeRawBufferPointer, limit: Int, isEncoded: Bool, budget: inout ByteBudget
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

    /// Whether the message, which is here, is compressed.
    var isCompressed: Bool { MessagePrefix.isCompressed(bytes) }

    /// Replaces what is here by a response, `bytes` with its prefix.
    mutating func replace(with bytes: UnsafeRawBufferPointer, budget: inout ByteBudget) -> Bool {
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
    mutating func clear(budget: inout ByteBudget) {
        count = 0
        expected = 0
        guard capacity > Self.initialCapacity else { return }
        budget.give(capacity &- Self.initialCapacity)
        base.deallocate()
        base = .allocate(byteCount: Self.initialCapacity, alignment: 16)
        capacity = Self.initialCapacity
    }

    /// Room for `needed` bytes; memory grows as bytes arrive, never on the word of a prefix alone.
    private mutating func reserve(
        _ needed: Int, atMost most: Int, keeping kept: Int, budget: inout ByteBudget
    ) throws(Rejection) {
        guard needed > capacity else { return }
        let larger = min(max(capacity &* 2, needed), max(most, needed))
        guard budget.take(larger &- capacity) else { throw .overloaded }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        memory.copyMemory(from: base, byteCount: kept)
        base.deallocate()
        base = memory
        capacity = larger
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        (base + count).copyMemory(from: start, byteCount: bytes.count)
        count &+= bytes.count
    }
}
