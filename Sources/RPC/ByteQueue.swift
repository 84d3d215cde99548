/// Bytes in the order they came, contiguous, in memory that grows as they arrive and is charged to the loop's budget.
struct ByteQueue {
    /// Memory that an empty queue keeps.
    private static let keptCapacity = 4 << 10

    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    private var head = 0
    private var tail = 0

    var count: Int { tail &- head }
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0 + head) }, count: count)
    }

    /// Appends a piece; false, and nothing appended, where the budget does not allow it.
    mutating func append(_ piece: UnsafeRawBufferPointer, budget: inout ByteBudget) -> Bool {
        guard let start = piece.baseAddress, !piece.isEmpty else { return true }
        guard reserve(piece.count, budget: &budget) else { return false }
        (base! + tail).copyMemory(from: start, byteCount: piece.count)
        tail &+= piece.count
        return true
    }

    /// Forgets the first `byteCount` bytes.
    mutating func drop(_ byteCount: Int, budget: inout ByteBudget) {
        precondition(byteCount <= count, "more was taken from a queue than is in it")
        head &+= byteCount
        guard head == tail else { return }
        head = 0
        tail = 0
        if capacity > Self.keptCapacity { destroy(budget: &budget) }
    }

    /// Gives the memory back; the queue is empty then.
    mutating func destroy(budget: inout ByteBudget) {
        base?.deallocate()
        budget.give(capacity)
        self = ByteQueue()
    }

    private mutating func reserve(_ more: Int, budget: inout ByteBudget) -> Bool {
        if more <= capacity &- tail { return true }
        if count &+ more <= capacity, head >= count {
            // Moved only when at least as much was dropped as stays: every byte moves at most once on average.
            base!.copyMemory(from: base! + head, byteCount: count)
        } else {
            let larger = max(count &+ more, min(capacity &* 2, 2 &* (count &+ more)), Self.keptCapacity)
            guard budget.take(larger) else { return false }
            let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
            if let base { memory.copyMemory(from: base + head, byteCount: count) }
            base?.deallocate()
            budget.give(capacity)
            base = memory
            capacity = larger
        }
        tail = count
        head = 0
        return true
    }
}
