internal import Glibc

/// The methods of a server by path: a small open-addressed hash over the path's bytes, built once.
struct MethodTable: ~Copyable {
    struct Entry {
        let path: UnsafeRawBufferPointer
        let method: Method
        let maxRequestBytes: Int
        let heads: AnswerHeads
    }

    private let entries: UnsafeMutableBufferPointer<Entry>
    /// Entry numbers plus one; 0 is a free slot. A power of two, at most half full, so that probes end soon.
    private let slots: UnsafeMutableBufferPointer<UInt32>

    /// A table of `methods`; of two with the same path the first answers.
    ///
    /// - Parameter maxRequestBytes: By paths; before what the methods say, and before the default.
    init(_ methods: [Method], defaultMaxRequestBytes: Int, maxRequestBytes: [String: Int] = [:]) {
        entries = .allocate(capacity: methods.count)
        var slotCount = 2
        while slotCount < methods.count * 2 { slotCount *= 2 }
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0)
        for (index, method) in methods.enumerated() {
            let path = UnsafeMutableRawBufferPointer.allocate(byteCount: method.path.utf8.count, alignment: 1)
            path.copyBytes(from: method.path.utf8)
            entries.initializeElement(
                at: index,
                to: Entry(
                    path: UnsafeRawBufferPointer(path), method: method,
                    maxRequestBytes: maxRequestBytes[method.path] ?? method.maxRequestBytes
                        ?? defaultMaxRequestBytes,
                    heads: AnswerHeads(method.service)))
            var slot = Self.hash(UnsafeRawBufferPointer(path)) & (slotCount - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slotCount - 1) }
            slots[slot] = UInt32(index + 1)
        }
    }

    deinit {
        for entry in entries {
            entry.path.deallocate()
            entry.heads.destroy()
        }
        entries.deinitialize().deallocate()
        slots.deallocate()
    }

    /// The number of the method at exactly `path`; paths are never normalised.
    func lookUp(_ path: UnsafeRawBufferPointer) -> Int? {
        var slot = Self.hash(path) & (slots.count &- 1)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) &- 1
            let candidate = entries[index].path
            if candidate.count == path.count, path.count > 0,
                memcmp(candidate.baseAddress!, path.baseAddress!, path.count) == 0
            {
                return index
            }
            slot = (slot &+ 1) & (slots.count &- 1)
        }
        return nil
    }

    /// The first method of the service that `path` names, known or not what comes behind it.
    func service(of path: UnsafeRawBufferPointer) -> Int? {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0 else { return nil }
        return entries.firstIndex {
            $0.path.count > slash && memcmp($0.path.baseAddress!, path.baseAddress!, slash + 1) == 0
        }
    }

    subscript(index: Int) -> UnsafePointer<Entry> { UnsafePointer(entries.baseAddress! + index) }

    /// Eight bytes at a time; the last step overlaps what came before rather than going byte by byte.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hash = UInt64(truncatingIfNeeded: bytes.count)
        guard bytes.count >= 8 else {
            for byte in bytes { hash = mix(hash, UInt64(byte)) }
            return Int(truncatingIfNeeded: hash >> 32)
        }
        var offset = 0
        while offset &+ 8 <= bytes.count {
            hash = mix(hash, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        hash = mix(hash, bytes.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self))
        return Int(truncatingIfNeeded: hash >> 32)
    }

    private static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15  // 2^64 over the golden ratio: spreads every bit upwards
        return product ^ (product >> 29)
    }
}
