/// The bytes that calls of one loop hold beyond their small buffers: the loop sheds load before memory runs out.
///
/// Blocks that calls give back are kept by size for the next ones, up to a bound: warm calls ask the heap for nothing,
/// and a loop that idles holds little.
struct ByteBudget {
    /// The smallest block, and the largest that is kept: answers of up to a thousand items.
    static let smallestBlock = 2 << 10
    static let largestKeptBlock = 64 << 10
    /// Free bytes kept at most: the answers of more calls than a loop has under way at once, but for floods.
    static let maxKeptBytes = 4 << 20
    /// What calls that need blocks hold in them, most of the time: answers of a hundred items.
    private static let bytesPerCall = 8 << 10

    private let total: Int
    private let connectionShare: Int
    private(set) var available: Int
    /// The least that was available since the mark was last set.
    private var lowest: Int
    /// Bytes of free blocks.
    private(set) var keptBytes = 0
    /// The first free block of each power of two from the smallest; each block holds the address of the next.
    private var free = InlineArray<6, UnsafeMutableRawPointer?>(repeating: nil)

    /// A budget of `bytes`; `connectionShare` as ``CallLimits/connectionShare``.
    init(bytes: Int, connectionShare: Int = 0) {
        total = bytes
        self.connectionShare = connectionShare
        available = bytes
        lowest = bytes
    }

    /// Whether `bytes` or more were given back since the peak; the mark is then set anew.
    mutating func fallFromPeak(atLeast bytes: Int) -> Bool {
        guard available - lowest >= bytes else { return false }
        lowest = available
        return true
    }

    /// What a connection may hold at most while it is alone.
    var mostForOneConnection: Int { connectionShare > 0 ? total / 2 : total }

    /// Whether a connection that would hold `held` bytes with `bytes` more leaves enough for others.
    func isFair(_ bytes: Int, holding held: Int) -> Bool {
        isFairShare(held, left: available &- bytes, of: total, connectionShare)
    }

    mutating func take(_ bytes: Int) -> Bool {
        guard bytes <= available else { return false }
        available &-= bytes
        lowest = min(lowest, available)
        return true
    }

    mutating func give(_ bytes: Int) { available &+= bytes }

    /// A block of at least `byteCount` bytes, uninitialized; nil where the budget does not allow it.
    mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        let index = Self.index(of: byteCount)
        let size = Self.blockSize(byteCount)
        guard take(size) else { return nil }
        if let index, let block = free[index] {
            free[index] = block.load(as: UnsafeMutableRawPointer?.self)
            keptBytes &-= size
            return UnsafeMutableRawBufferPointer(start: block, count: size)
        }
        return .allocate(byteCount: size, alignment: 16)
    }

    /// Takes back what ``allocate(_:)`` gave.
    mutating func release(_ block: UnsafeMutableRawBufferPointer) {
        give(block.count)
        guard let index = Self.index(of: block.count), keptBytes &+ block.count <= Self.maxKeptBytes else {
            block.deallocate()
            return
        }
        let start = block.baseAddress!
        start.storeBytes(of: free[index], as: UnsafeMutableRawPointer?.self)
        free[index] = start
        keptBytes &+= block.count
    }

    /// Gives free blocks back to the heap, the largest first, beyond what so many calls need.
    mutating func shrink(toCalls calls: Int) {
        let byteCount = calls &* Self.bytesPerCall
        for index in free.indices.reversed() {
            while keptBytes > byteCount, let block = free[index] {
                free[index] = block.load(as: UnsafeMutableRawPointer?.self)
                keptBytes &-= Self.smallestBlock &<< index
                block.deallocate()
            }
        }
    }

    /// Gives all free blocks back to the heap.
    mutating func destroy() { shrink(toCalls: 0) }

    /// Bytes of the block that holds `byteCount` bytes.
    static func blockSize(_ byteCount: Int) -> Int { index(of: byteCount).map { smallestBlock &<< $0 } ?? byteCount }

    /// The power of two, counted from the smallest block, that holds `byteCount` bytes; nil where such are not kept.
    private static func index(of byteCount: Int) -> Int? {
        guard byteCount <= largestKeptBlock else { return nil }
        guard byteCount > smallestBlock else { return 0 }
        return smallestBlock.leadingZeroBitCount &- (byteCount &- 1).leadingZeroBitCount &+ 1
    }
}

/// Whether a connection that holds `held` leaves enough for others, where `left` of `total` are free: the rule of
/// ``CallLimits/connectionShare``.
func isFairShare(_ held: Int, left: Int, of total: Int, _ connectionShare: Int) -> Bool {
    left >= total / 2 || held &* connectionShare <= left
}

/// What the calls of one connection hold of their loop's ``ByteBudget``: its share is judged here.
struct ConnectionBudget {
    private let loop: UnsafeMutablePointer<ByteBudget>
    private(set) var held = 0

    init(of loop: UnsafeMutablePointer<ByteBudget>) { self.loop = loop }

    /// Takes `bytes`; false where the loop has not as many, or the connection holds too many.
    mutating func take(_ bytes: Int) -> Bool {
        guard loop.pointee.isFair(bytes, holding: held &+ bytes), loop.pointee.take(bytes) else { return false }
        held &+= bytes
        return true
    }

    mutating func give(_ bytes: Int) {
        loop.pointee.give(bytes)
        held &-= bytes
    }

    /// A block of at least `byteCount` bytes, as ``ByteBudget/allocate(_:)`` gives it.
    mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        let size = ByteBudget.blockSize(byteCount)
        guard loop.pointee.isFair(size, holding: held &+ size), let block = loop.pointee.allocate(byteCount) else {
            return nil
        }
        held &+= size
        return block
    }

    /// Takes back what ``allocate(_:)`` gave.
    mutating func release(_ block: UnsafeMutableRawBufferPointer) {
        held &-= block.count
        loop.pointee.release(block)
    }
}
