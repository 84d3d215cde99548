/// Where the sessions of one loop put the bytes they want to send, so that all answers of a wake-up leave in one write.
public final class OutputBuffer {
    /// The largest piece a session appends: a 16 KiB frame and its header, rounded up.
    static let reserve = 17 << 10

    let base: UnsafeMutableRawPointer
    /// The most bytes that it holds.
    public let capacity: Int
    var count = 0

    /// A buffer of `capacity` bytes: what one write carries at most, and so what a connection can have waiting.
    public init(capacity: Int = 256 << 10) {
        precondition(capacity >= 2 * Self.reserve, "an output buffer holds at least two frames")
        base = .allocate(byteCount: capacity, alignment: 16)
        self.capacity = capacity
    }

    deinit { base.deallocate() }

    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    public func clear() { count = 0 }

    var isFull: Bool { capacity &- count < Self.reserve }

    func append(_ bytes: UnsafeRawPointer, count: Int) {
        (base + self.count).copyMemory(from: bytes, byteCount: count)
        self.count &+= count
    }
}
