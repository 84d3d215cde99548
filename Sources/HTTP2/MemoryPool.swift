internal import CNghttp2
internal import Glibc

/// The memory of all nghttp2 sessions of one loop: freed blocks are kept by size for the next request, so that a
/// warm server asks the heap for nothing. Used by one thread only.
///
/// A handle (one pointer, no reference counting), ended by ``destroy()`` after every session that uses it.
struct MemoryPool {
    /// Blocks hold powers of two from 64 bytes; larger ones than 32 KiB come from the heap. Headers come on top: nghttp2
    /// asks for powers of two itself, and idle connections would hold twice as much.
    private static let smallestShift = 6
    private static let classCount = 10  // the length of State.free
    /// Free bytes kept before blocks go back to the heap, so that a peak does not stay forever.
    private static let maxKeptBytes = 16 << 20
    /// Room for class and size in front of each block, keeping 16-byte alignment.
    private static let headerBytes = 16

    private struct State {
        /// The first free block of each class; each block holds the address of the next.
        var free = InlineArray<10, UnsafeMutableRawPointer?>(repeating: nil)
        var keptBytes = 0
    }

    private let state: UnsafeMutablePointer<State>

    init() {
        state = .allocate(capacity: 1)
        state.initialize(to: State())
    }

    fileprivate init(_ data: UnsafeMutableRawPointer?) {
        state = data!.assumingMemoryBound(to: State.self)
    }

    func destroy() {
        shrink(toBytes: 0)
        state.deallocate()
    }

    var keptBytes: Int { state.pointee.keptBytes }

    /// Gives free blocks back to the heap until at most `byteCount` bytes of them are left; the largest first.
    func shrink(toBytes byteCount: Int) {
        for index in (0..<Self.classCount).reversed() {
            while state.pointee.keptBytes > byteCount, let block = state.pointee.free[index] {
                state.pointee.free[index] = block.load(as: UnsafeMutableRawPointer?.self)
                state.pointee.keptBytes &-= 1 &<< (index &+ Self.smallestShift)
                Glibc.free(block)
            }
        }
    }

    /// The pool as nghttp2's allocator.
    func makeAllocator() -> nghttp2_mem {
        nghttp2_mem(
            mem_user_data: state, malloc: poolAllocate, free: poolFree, calloc: poolAllocateZeroed,
            realloc: poolReallocate)
    }

    @inline(__always)
    fileprivate func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard size >= 0, size <= Int.max - Self.headerBytes else { return nil }
        let index =
            size <= 1 << Self.smallestShift
            ? 0 : Int.bitWidth &- (size &- 1).leadingZeroBitCount &- Self.smallestShift
        if index < Self.classCount, let block = state.pointee.free[unchecked: index] {
            state.pointee.free[unchecked: index] = block.load(as: UnsafeMutableRawPointer?.self)
            state.pointee.keptBytes &-= 1 &<< (index &+ Self.smallestShift)
            block.storeBytes(of: index, as: Int.self)
            block.storeBytes(of: size, toByteOffset: 8, as: Int.self)
            return block + Self.headerBytes
        }
        return allocateFromHeap(index: index, size: size)
    }

    @inline(never)
    private func allocateFromHeap(index: Int, size: Int) -> UnsafeMutableRawPointer? {
        let bytes = index < Self.classCount ? 1 << (index + Self.smallestShift) : size
        guard let block = malloc(Self.headerBytes + bytes) else { return nil }
        block.storeBytes(of: index, as: Int.self)
        block.storeBytes(of: size, toByteOffset: 8, as: Int.self)
        return block + Self.headerBytes
    }

    @inline(__always)
    fileprivate func release(_ pointer: UnsafeMutableRawPointer) {
        let block = pointer - Self.headerBytes
        let index = block.load(as: Int.self)
        let kept = state.pointee.keptBytes &+ (1 &<< (index &+ Self.smallestShift))
        guard index < Self.classCount, kept <= Self.maxKeptBytes else {
            Glibc.free(block)
            return
        }
        block.storeBytes(of: state.pointee.free[unchecked: index], as: UnsafeMutableRawPointer?.self)
        state.pointee.free[unchecked: index] = block
        state.pointee.keptBytes = kept
    }

    fileprivate static func size(of pointer: UnsafeMutableRawPointer) -> Int {
        (pointer - headerBytes).load(fromByteOffset: 8, as: Int.self)
    }
}

private func poolAllocate(size: Int, data: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    MemoryPool(data).allocate(size)
}

private func poolFree(pointer: UnsafeMutableRawPointer?, data: UnsafeMutableRawPointer?) {
    if let pointer { MemoryPool(data).release(pointer) }
}

private func poolAllocateZeroed(count: Int, size: Int, data: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let (total, overflow) = count.multipliedReportingOverflow(by: size)
    guard !overflow, let memory = MemoryPool(data).allocate(total) else { return nil }
    memset(memory, 0, total)
    return memory
}

private func poolReallocate(
    pointer: UnsafeMutableRawPointer?, size: Int, data: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
    guard let pointer else { return poolAllocate(size: size, data: data) }
    guard let larger = MemoryPool(data).allocate(size) else { return nil }
    larger.copyMemory(from: pointer, byteCount: min(size, MemoryPool.size(of: pointer)))
    MemoryPool(data).release(pointer)
    return larger
}
