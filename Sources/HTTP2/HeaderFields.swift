/// Header fields as a log of bytes: for each field the lengths of name (low half) and value in 64 bits, then both.
///
/// The memory belongs to whoever made the log and is kept for the next request.
struct HeaderLog {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        base = .allocate(byteCount: capacity, alignment: 8)
        self.capacity = capacity
    }

    func destroy() { base.deallocate() }

    mutating func clear() { count = 0 }

    /// Gives memory of an unusually large request back, so that a pooled log stays small.
    mutating func trim(above limit: Int, to bytes: Int) {
        guard capacity > limit else { return }
        base.deallocate()
        base = .allocate(byteCount: bytes, alignment: 8)
        capacity = bytes
        count = 0
    }

    /// Appends a field; nghttp2 gives neither name nor value without an address.
    @inline(__always)
    mutating func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let size = 8 &+ name.count &+ value.count
        if size > capacity &- count { grow(by: size) }
        let entry = base + count
        entry.storeBytes(of: UInt64(truncatingIfNeeded: name.count | value.count &<< 32), as: UInt64.self)
        (entry + 8).copyMemory(from: name.baseAddress!, byteCount: name.count)
        (entry + 8 + name.count).copyMemory(from: value.baseAddress!, byteCount: value.count)
        count &+= size
    }

    @inline(never)
    private mutating func grow(by size: Int) {
        let larger = max(capacity * 2, count + size)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        memory.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = memory
        capacity = larger
    }

    var fields: HeaderFields { HeaderFields(bytes: UnsafeRawBufferPointer(start: base, count: count)) }
}

/// The header fields of one request in the order they came, pseudo-headers included: a view that copies nothing,
/// valid as long as its stream.
public struct HeaderFields: Sequence {
    /// The log that the fields are read from: whoever needs them for longer copies it.
    public let bytes: UnsafeRawBufferPointer

    /// The fields in the `bytes` of another view, or in a copy of them.
    public init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// One field; names are in lower case (RFC 9113, 8.2).
    public struct Field {
        public let name: UnsafeRawBufferPointer
        public let value: UnsafeRawBufferPointer

        @inlinable
        public init(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
            self.name = name
            self.value = value
        }
    }

    public struct Iterator: IteratorProtocol {
        @usableFromInline var rest: UnsafeRawBufferPointer

        @usableFromInline init(rest: UnsafeRawBufferPointer) { self.rest = rest }

        @inlinable
        public mutating func next() -> Field? {
            guard let start = rest.baseAddress, rest.count >= 8 else { return nil }
            let lengths = start.loadUnaligned(as: UInt64.self)
            let name = Int(truncatingIfNeeded: lengths & 0xFFFF_FFFF)
            let value = Int(truncatingIfNeeded: lengths &>> 32)
            let size = 8 &+ name &+ value
            rest = UnsafeRawBufferPointer(start: start + size, count: rest.count &- size)
            return Field(
                name: UnsafeRawBufferPointer(start: start + 8, count: name),
                value: UnsafeRawBufferPointer(start: start + 8 + name, count: value))
        }
    }

    /// No fields.
    public static var empty: HeaderFields { HeaderFields(bytes: UnsafeRawBufferPointer(start: nil, count: 0)) }

    @inlinable public func makeIterator() -> Iterator { Iterator(rest: bytes) }
}
