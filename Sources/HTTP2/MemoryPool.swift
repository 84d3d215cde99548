internal import CNghttp2
internal import Glibc

/// The memory of all nghttp2 sessions of one loop: freed blocks are kept by size for the next request, so that a
/// warm server asks the heap for nothing. Used by one thread only.
final class MemoryPool {
    /// Blocks are powers of two from 64 bytes; larger ones than 32 KiB come from the heap.
    private static let smallestShift = 6
    private static let classCount = 10
    /// Free bytes kept before blocks go back to the heap, so that a peak does not stay forever.
    private static let maxKeptBytes = 64 << 20
    /// Room for the class number in front of each block, keeping 16-byte alignment.
    private static let headerBytes = 16

    private let free: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private var keptBytes = 0

    init() {
        free = .allocate(capacity: Self.classCount)
        free.initialize(repeating: nil, count: Self.classCount)
    }

    deinit {
        for index in 0..<Self.classCount {
            while let block = free[index] {
                free[index] = block.load(as: UnsafeMutableRawPointer?.self)
                Glibc.free(block)
            }
        }
        free.deallocate()
    }

    /// The pool as nghttp2's allocator; the pool must outlive every session that uses it.
    func makeAllocator() -> nghttp2_mem {
        nghttp2_mem(
            mem_user_data: Unmanaged.passUnretained(self).toOpaque(), malloc: poolAllocate, free: poolFree,
            calloc: poolAllocateZeroed, realloc: poolReallocate)
    }

    private static func classIndex(of size: Int) -> Int {
        size <= 1 << smallestShift ? 0 : Int.bitWidth &- (size &- 1).leadingZeroBitCount &- smallestShift
    }

    fileprivate func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        let (total, overflow) = size.addingReportingOverflow(Self.headerBytes)
        guard size >= 0, !overflow else { return nil }
        let index = Self.classIndex(of: total)
        var block: UnsafeMutableRawPointer?
        if index < Self.classCount {
            block = free[index]
            if let block {
                free[index] = block.load(as: UnsafeMutableRawPointer?.self)
                keptBytes &-= 1 << (index &+ Self.smallestShift)
            }
        }
        guard let block = block ?? malloc(index < Self.classCount ? 1 << (index &+ Self.smallestShift) : total) else {
            return nil
        }
        block.storeBytes(of: index, as: Int.self)
        block.storeBytes(of: size, toByteOffset: 8, as: Int.self)
        return block + Self.headerBytes
    }

    fileprivate func release(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { return }
        let block = pointer - Self.headerBytes
        let index = block.load(as: Int.self)
        let size = 1 << (index &+ Self.smallestShift)
        guard index < Self.classCount, keptBytes &+ size <= Self.maxKeptBytes else {
            Glibc.free(block)
            return
        }
        block.storeBytes(of: free[index], as: UnsafeMutableRawPointer?.self)
        free[index] = block
        keptBytes &+= size
    }

    fileprivate static func size(of pointer: UnsafeMutableRawPointer) -> Int {
        (pointer - headerBytes).load(fromByteOffset: 8, as: Int.self)
    }
}

private func pool(_ data: UnsafeMutableRawPointer?) -> Unmanaged<MemoryPool> { .fromOpaque(data!) }

private func poolAllocate(size: Int, data: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    pool(data)._withUnsafeGuaranteedRef { $0.allocate(size) }
}

private func poolFree(pointer: UnsafeMutableRawPointer?, data: UnsafeMutableRawPointer?) {
    pool(data)._withUnsafeGuaranteedRef { $0.release(pointer) }
}

private func poolAllocateZeroed(count: Int, size: Int, data: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let (total, overflow) = count.multipliedReportingOverflow(by: size)
    guard !overflow, let memory = poolAllocate(size: total, data: data) else { return nil }
    memset(memory, 0, total)
    return memory
}

private func poolReallocate(
    pointer: UnsafeMutableRawPointer?, size: Int, data: UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
    guard let pointer else { return poolAllocate(size: size, data: data) }
    guard let larger = poolAllocate(size: size, data: data) else { return nil }
    larger.copyMemory(from: pointer, byteCount: min(size, MemoryPool.size(of: pointer)))
    poolFree(pointer: pointer, data: data)
    return larger
}
