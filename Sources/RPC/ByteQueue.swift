/// Bytes in the order they came, contiguous, in memory that grows as they arrive and is charged to the connection's budget.
struct ByteQueue {
    /// Memory that an empty queue keeps.
    private static let keptCapacity = 4 << 10

    private var block: UnsafeMutableRawBufferPointer?
    private var head = 0
    private var tail = 0

    var count: Int { tail &- head }
    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: block.map { UnsafeRawPointer($0.baseAddress! + head) }, count: count)
    }
    private var capacity: Int { block?.count ?? 0 }

    /// Appends a piece; false, and nothing appended, where the budget does not allow it.
    mutating func append(_ piece: UnsafeRawBufferPointer, budget: inout ConnectionBudget) -> Bool {
        guard let start = piece.baseAddress, !piece.isEmpty else { return true }
        guard reserve(piece.count, budget: &budget) else { return false }
        (block!.baseAddress! + tail).copyMemory(from: start, byteCount: piece.count)
        tail &+= piece.count
        return true
    }

    /// Forgets the first `byteCount` bytes.
    mutating func drop(_ byteCount: Int, budget: inout ConnectionBudget) {
        precondition(byteCount <= count, "more was taken from a queue than is in it")
        head &+= byteCount
        guard head == tail else { return }
        head = 0
        tail = 0
        if capacity > Self.keptCapacity { destroy(budget: &budget) }
    }

    /// Forgets all but the first `byteCount` bytes.
    mutating func keep(_ byteCount: Int, budget: inout ConnectionBudget) {
        precondition(byteCount <= count, "more was to be kept of a queue than is in it")
        guard byteCount > 0 else { return destroy(budget: &budget) }
        tail = head &+ byteCount
    }

    /// Gives the memory back; the queue is empty then.
    mutating func destroy(budget: inout ConnectionBudget) {
        if let block { budget.release(block) }
        self = ByteQueue()
    }

    private mutating func reserve(_ more: Int, budget: inout ConnectionBudget) -> Bool {
        if more <= capacity &- tail { return true }
        if count &+ more <= capacity, head >= count {
            // Moved only when at least as much was dropped as stays: every byte moves at most once on average.
            let base = block!.baseAddress!
            base.copyMemory(from: base + head, byteCount: count)
        } else {
            let wanted = max(count &+ more, min(capacity &* 2, 2 &* (count &+ more)), Self.keptCapacity)
            guard let larger = budget.allocate(wanted) else { return false }
            if let block {
                larger.baseAddress!.copyMemory(from: block.baseAddress! + head, byteCount: count)
                budget.release(block)
            }
            block = larger
        }
        tail = count
        head = 0
        return true
    }
}
