internal import CProtobufC

/// A bump allocator for the messages of one call: everything in it is released at once by ``reset()``.
///
/// A handle (one pointer, no reference counting): whoever makes an arena destroys it with ``destroy()``.
/// It keeps its first block for the next call, so a warm arena allocates nothing from the heap; what does not
/// fit there goes into overflow blocks, up to the byte limit.
public struct Arena {
    @usableFromInline
    struct State {
        var block: UnsafeMutableRawPointer
        var capacity: Int
        var used: Int
        /// Bytes that overflow blocks may still take before an allocation fails.
        var budget: Int
        var limit: Int
        /// Overflow blocks, newest first, each headed by the address of the next.
        var overflow: UnsafeMutableRawPointer?
        var allocator: ProtobufCAllocator
    }

    @usableFromInline let state: UnsafeMutablePointer<State>

    /// Makes an arena whose first block holds `capacity` bytes and that may grow by `limit` bytes beyond it.
    public init(capacity: Int = 4096, limit: Int = 64 << 20) {
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                block: .allocate(byteCount: capacity, alignment: 16), capacity: capacity, used: 0, budget: limit,
                limit: limit, overflow: nil, allocator: ProtobufCAllocator()))
        state.pointee.allocator = ProtobufCAllocator(
            alloc: arenaAllocate, free: arenaFree, allocator_data: UnsafeMutableRawPointer(state))
    }

    /// Releases everything, the arena included.
    public func destroy() {
        reset()
        state.pointee.block.deallocate()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Forgets everything allocated so far; pointers into the arena are dangling from here on.
    public func reset() {
        state.pointee.used = 0
        if state.pointee.overflow != nil { releaseOverflow() }
    }

    /// Bytes aligned to 16, uninitialized, valid until ``reset()``; nil where the byte limit is reached.
    public func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
        let size = (byteCount &+ 15) & ~15
        let used = state.pointee.used
        if size <= state.pointee.capacity &- used, byteCount >= 0 {
            state.pointee.used = used &+ size
            return state.pointee.block + used
        }
        return allocateOverflow(byteCount: byteCount)
    }

    /// The arena as protobuf-c's allocator.
    var allocator: UnsafeMutablePointer<ProtobufCAllocator> {
        UnsafeMutablePointer(
            mutating: UnsafeRawPointer(state).advanced(by: MemoryLayout<State>.offset(of: \State.allocator)!)
                .assumingMemoryBound(to: ProtobufCAllocator.self))
    }

    @inline(never)
    private func allocateOverflow(byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount >= 0, byteCount <= state.pointee.budget else { return nil }
        state.pointee.budget -= byteCount
        let block = UnsafeMutableRawPointer.allocate(byteCount: byteCount + 16, alignment: 16)
        block.storeBytes(of: state.pointee.overflow, as: UnsafeMutableRawPointer?.self)
        state.pointee.overflow = block
        return block + 16
    }

    @inline(never)
    private func releaseOverflow() {
        while let block = state.pointee.overflow {
            state.pointee.overflow = block.load(as: UnsafeMutableRawPointer?.self)
            block.deallocate()
        }
        state.pointee.budget = state.pointee.limit
    }
}

private func arenaAllocate(data: UnsafeMutableRawPointer?, size: Int) -> UnsafeMutableRawPointer? {
    Arena(state: data!.assumingMemoryBound(to: Arena.State.self)).allocate(byteCount: size)
}

/// protobuf-c frees piece by piece; an arena frees all at once.
private func arenaFree(data: UnsafeMutableRawPointer?, pointer: UnsafeMutableRawPointer?) {}

extension Arena {
    fileprivate init(state: UnsafeMutablePointer<State>) { self.state = state }
}
