internal import Glibc

/// A bump allocator for the messages of one call: everything in it is released at once by ``reset()``.
///
/// A handle (one pointer, no reference counting): whoever makes an arena destroys it with ``destroy()``.
/// What does not fit the first block goes into further blocks, up to the byte limit. A first block that proved too
/// small is replaced by a larger one at ``reset()``, so a warm arena allocates nothing from the heap.
public struct Arena {
    @usableFromInline
    struct State {
        /// Where the next allocation starts, and how many bytes follow it in the current block.
        @usableFromInline var next: UnsafeMutableRawPointer
        @usableFromInline var available: Int
        /// The first block, kept across ``Arena/reset()``.
        var first: UnsafeMutableRawPointer
        var capacity: Int
        /// Blocks made since the last reset, newest first, each headed by the address of the one before it.
        var overflow: UnsafeMutableRawPointer?
        /// Bytes in `overflow`, and how many there may be.
        var overflowBytes: Int
        var limit: Int
        var isExhausted: Bool
        /// Whether a thread keeps it, and whether it is in use from ``Arena/borrow(limit:)`` to ``Arena/giveBack()``.
        var isKept: Bool
        var isLent: Bool
    }

    /// A first block grows to what calls need, but no further than this: idle memory is held per arena.
    static var maxRetainedCapacity: Int { 64 << 10 }
    /// The alignment of every allocation, and the bytes that head an overflow block.
    @usableFromInline static var alignment: Int { 16 }

    @usableFromInline let state: UnsafeMutablePointer<State>

    /// Makes an arena whose first block holds `capacity` bytes and that may grow by `limit` bytes beyond it.
    public init(capacity: Int = 4096, limit: Int = 64 << 20) {
        let capacity = (max(capacity, Self.alignment) + Self.alignment - 1) & ~(Self.alignment - 1)
        let first = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: Self.alignment)
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                next: first, available: capacity, first: first, capacity: capacity, overflow: nil, overflowBytes: 0,
                limit: limit, isExhausted: false, isKept: false, isLent: false))
    }

    fileprivate init(state: UnsafeMutablePointer<State>) { self.state = state }

    /// Releases everything, the arena included.
    public func destroy() {
        releaseOverflow()
        state.pointee.first.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Forgets everything allocated so far; pointers into the arena are dangling from here on.
    public func reset() {
        if state.pointee.overflow != nil { growFirstBlock() }
        state.pointee.next = state.pointee.first
        state.pointee.available = state.pointee.capacity
        state.pointee.isExhausted = false
    }

    /// Whether ``require(byteCount:)`` went beyond the byte limit since the last ``reset()``.
    public var isExhausted: Bool { state.pointee.isExhausted }

    /// Bytes that it may grow by beyond its first block.
    var limit: Int { state.pointee.limit }

    /// Bytes aligned to 16, uninitialized, valid until ``reset()``; nil where the byte limit would be passed.
    ///
    /// For sizes that a peer decides.
    @inlinable
    public func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
        bump(byteCount) ?? allocateOverflow(byteCount: byteCount, withinLimit: true)
    }

    /// Bytes aligned to 16, uninitialized, valid until ``reset()``. Past the byte limit the arena still serves them
    /// and is ``isExhausted``.
    ///
    /// For sizes that our own code decides (builders): it need not handle a failure at every field, and whoever sends
    /// the message refuses one from an exhausted arena.
    @inlinable
    public func require(byteCount: Int) -> UnsafeMutableRawPointer {
        if let bytes = bump(byteCount) { return bytes }
        return allocateOverflow(byteCount: byteCount, withinLimit: false)!
    }

    @inlinable
    func bump(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        // A negative count, or one that wraps here, is huge as UInt and fails the comparison.
        let size = (byteCount &+ (Self.alignment - 1)) & ~(Self.alignment - 1)
        guard UInt(bitPattern: size) <= UInt(bitPattern: state.pointee.available) else { return nil }
        let bytes = state.pointee.next
        state.pointee.next = bytes + size
        state.pointee.available &-= size
        return bytes
    }

    @usableFromInline @inline(never)
    func allocateOverflow(byteCount: Int, withinLimit: Bool) -> UnsafeMutableRawPointer? {
        precondition(byteCount >= 0, "a negative size was asked of an arena")
        guard startBlock(byteCount: byteCount, withinLimit: withinLimit) else { return nil }
        return bump(byteCount)
    }

    /// Goes on in a new block of at least `byteCount` bytes; blocks double, so that there are few of them.
    private func startBlock(byteCount: Int, withinLimit: Bool) -> Bool {
        let allowed = state.pointee.limit - state.pointee.overflowBytes
        // No process holds half the address space: larger sizes are refused before they are rounded up.
        guard byteCount <= (withinLimit ? allowed : Int.max / 2) else { return false }
        if byteCount > allowed { state.pointee.isExhausted = true }
        let doubled = min(state.pointee.capacity + state.pointee.overflowBytes, allowed)
        let size = (max(byteCount, doubled) + Self.alignment - 1) & ~(Self.alignment - 1)
        let block = UnsafeMutableRawPointer.allocate(byteCount: size + Self.alignment, alignment: Self.alignment)
        block.storeBytes(of: state.pointee.overflow, as: UnsafeMutableRawPointer?.self)
        state.pointee.overflow = block
        state.pointee.overflowBytes += size
        state.pointee.next = block + Self.alignment
        state.pointee.available = size
        return true
    }

    @inline(never)
    private func growFirstBlock() {
        let wanted = min(state.pointee.capacity + state.pointee.overflowBytes, Self.maxRetainedCapacity)
        releaseOverflow()
        guard wanted > state.pointee.capacity else { return }
        state.pointee.first.deallocate()
        state.pointee.first = .allocate(byteCount: wanted, alignment: Self.alignment)
        state.pointee.capacity = wanted & ~(Self.alignment - 1)
    }

    private func releaseOverflow() {
        while let block = state.pointee.overflow {
            state.pointee.overflow = block.load(as: UnsafeMutableRawPointer?.self)
            block.deallocate()
        }
        state.pointee.overflowBytes = 0
    }
}

extension Arena {
    /// An arena to code a plain value in, to be given back with ``giveBack()``: that of the thread, which keeps it warm.
    @usableFromInline
    static func borrow(limit: Int) -> Arena {
        let kept = ofThisThread
        // A message's own code may code another one meanwhile.
        let arena = kept.state.pointee.isLent ? Arena() : kept
        arena.state.pointee.isLent = true
        arena.state.pointee.limit = limit
        return arena
    }

    /// Ends the use of an arena from ``borrow(limit:)``, on the same thread.
    @usableFromInline
    func giveBack() {
        guard state.pointee.isKept else { return destroy() }
        reset()
        state.pointee.isLent = false
    }

    private static var ofThisThread: Arena {
        if let state = pthread_getspecific(threadArenaKey) {
            return Arena(state: state.assumingMemoryBound(to: State.self))
        }
        let arena = Arena()
        arena.state.pointee.isKept = true
        pthread_setspecific(threadArenaKey, arena.state)
        return arena
    }
}

/// Where a thread keeps the arena that plain values are coded in, until it ends.
private let threadArenaKey: pthread_key_t = {
    var key = pthread_key_t()
    precondition(pthread_key_create(&key, destroyThreadArena) == 0, "the process has no thread-specific keys left")
    return key
}()

private func destroyThreadArena(state: UnsafeMutableRawPointer?) {
    Arena(state: state!.assumingMemoryBound(to: Arena.State.self)).destroy()
}
