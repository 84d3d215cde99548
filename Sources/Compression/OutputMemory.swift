/// What a context writes one message after the other into. Grows with a message; what a large one took beyond
/// ``retainedCapacity`` is given back when the next begins.
struct OutputMemory: ~Copyable {
    /// Typical messages fit without growing.
    static let retainedCapacity = 64 << 10

    private var base = UnsafeMutableRawPointer.allocate(byteCount: Self.retainedCapacity, alignment: 16)
    private(set) var capacity = Self.retainedCapacity
    private(set) var count = 0

    deinit { base.deallocate() }

    /// What was written.
    var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }

    /// Forgets what was written.
    mutating func clear() { _ = shrink() }

    /// Forgets what was written, and says how many bytes that gave back.
    mutating func shrink() -> Int {
        count = 0
        let excess = capacity - Self.retainedCapacity
        if excess > 0 { move(to: Self.retainedCapacity) }
        return max(0, excess)
    }

    /// Makes room for `byteCount` bytes in all. Memory doubles up to `most`, so that small steps cost no more than one.
    mutating func reserve(_ byteCount: Int, atMost most: Int) {
        if byteCount > capacity { move(to: max(byteCount, min(capacity &* 2, most))) }
    }

    /// The room behind what was written, up to `most` bytes in all; some, unless all of it is used.
    mutating func room(atMost most: Int) -> UnsafeMutableRawBufferPointer {
        if count < most { reserve(count &+ 1, atMost: most) }
        return UnsafeMutableRawBufferPointer(start: base + count, count: min(capacity, most) &- count)
    }

    /// Says that `byteCount` bytes were written into the room.
    mutating func advance(_ byteCount: Int) { count &+= byteCount }

    private mutating func move(to byteCount: Int) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 16)
        memory.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = memory
        capacity = byteCount
    }
}
