internal import Glibc

/// The ids of the nodes of a graph, numbered from 0 in the order in which they were added.
///
/// All bytes lie in one array and the hash index holds row numbers only, so a table of millions of ids costs three
/// allocations and no `String` is made until one is asked for.
public struct IdentifierTable: Sendable {
    /// Where each id begins in ``bytes``; one more entry than ids, the first 0, the last the byte count.
    public private(set) var offsets: [Int] = [0]
    /// The UTF-8 bytes of all ids, one after the other.
    public private(set) var bytes: [UInt8] = []
    /// Open addressing with linear probing: the upper half of the hash above row + 1, or 0 where free. The size is a power
    /// of two. Probes that meet another id are told by its hash, without a look at its bytes.
    private var slots = [UInt64](repeating: 0, count: 1024)

    /// An empty table.
    public init() {}

    /// A table of the given ids, which must differ from each other.
    public init(_ ids: [String]) {
        for id in ids {
            var id = id
            let isNew = id.withUTF8 { add(UnsafeRawBufferPointer($0)).isNew }
            precondition(isNew, "the id \(id) occurs twice")
        }
    }

    /// The number of ids.
    public var count: Int { offsets.count - 1 }

    /// The id of a row, decoded.
    public subscript(row: Int) -> String {
        String(decoding: bytes[offsets[row]..<offsets[row + 1]], as: UTF8.self)
    }

    /// The row of an id, or nil when the table does not hold it.
    public func row(of id: String) -> Int? {
        var id = id
        return id.withUTF8 { buffer in
            let buffer = UnsafeRawBufferPointer(buffer)
            let found = slots[slot(of: buffer, hash: Self.hash(buffer))]
            return found == 0 ? nil : Self.row(found)
        }
    }

    /// The row of an id, which is added at the end when it is new.
    @discardableResult
    public mutating func add(_ id: String) -> Int {
        var id = id
        return id.withUTF8 { Int(add(UnsafeRawBufferPointer($0)).row) }
    }

    /// The row of an id, which is added at the end when it is new.
    mutating func add(_ id: UnsafeRawBufferPointer) -> (row: UInt32, isNew: Bool) {
        let hash = Self.hash(id)
        let slot = slot(of: id, hash: hash)
        if slots[slot] != 0 { return (UInt32(Self.row(slots[slot])), false) }
        bytes.append(contentsOf: id)
        offsets.append(bytes.count)
        slots[slot] = hash & Self.tag | UInt64(count)
        let row = UInt32(count - 1)
        if count * 2 > slots.count { grow() }
        return (row, true)
    }

    /// The upper half of a slot or hash.
    private static let tag: UInt64 = 0xFFFF_FFFF_0000_0000

    private static func row(_ slot: UInt64) -> Int { Int(slot & ~tag) - 1 }

    /// The slot that holds an id, or the free one where it belongs.
    private func slot(of id: UnsafeRawBufferPointer, hash: UInt64) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            if (slots[slot] ^ hash) & Self.tag == 0, holds(row: Self.row(slots[slot]), id) { break }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private func holds(row: Int, _ id: UnsafeRawBufferPointer) -> Bool {
        let begin = offsets[row]
        guard offsets[row + 1] - begin == id.count else { return false }
        return bytes.withUnsafeBytes { all in
            id.isEmpty || memcmp(all.baseAddress! + begin, id.baseAddress!, id.count) == 0
        }
    }

    private mutating func grow() {
        slots = [UInt64](repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        bytes.withUnsafeBytes { all in
            for row in 0..<count {
                let id = UnsafeRawBufferPointer(rebasing: all[offsets[row]..<offsets[row + 1]])
                let hash = Self.hash(id)
                var slot = Int(truncatingIfNeeded: hash) & mask
                while slots[slot] != 0 { slot = (slot + 1) & mask }
                slots[slot] = hash & Self.tag | UInt64(row + 1)
            }
        }
    }

    /// Eight bytes at a time, multiplied and folded; the finalizer is that of splitmix64.
    private static func hash(_ id: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(id.count) &* 0x9E37_79B9_7F4A_7C15
        var index = 0
        while index + 8 <= id.count {
            hash = mix(hash ^ id.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index += 8
        }
        var tail: UInt64 = 0
        while index < id.count {
            tail = tail << 8 | UInt64(id[index])
            index += 1
        }
        return mix(hash ^ tail)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value &+ 0x9E37_79B9_7F4A_7C15
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
