internal import Glibc

/// Bytes that someone else owns: the mapped table, the arena, the request. Valid as long as their owner keeps them.
///
/// The zero-copy face of `string` and `bytes` fields, laid out as protobuf-c's `ProtobufCBinaryData`. Equality and
/// hash are those of the content.
@frozen
public struct WireBytes {
    /// The number of bytes.
    public let count: Int
    /// nil exactly where there are no bytes: protobuf-c leaves a field out by its null pointer, not by its count.
    public let baseAddress: UnsafeRawPointer?

    /// No bytes.
    @inlinable
    public init() {
        count = 0
        baseAddress = nil
    }

    /// Refers to `buffer` without copying it.
    @inlinable
    public init(_ buffer: UnsafeRawBufferPointer) {
        count = buffer.count
        baseAddress = buffer.count == 0 ? nil : buffer.baseAddress
    }

    /// Refers to `count` bytes at `start` without copying them.
    @inlinable
    public init(start: UnsafeRawPointer?, count: Int) {
        self.init(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// Refers to the UTF-8 bytes of a literal, which live as long as the process.
    @inlinable
    public init(_ literal: StaticString) {
        self.init(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
    }

    /// Whether there are no bytes.
    @inlinable public var isEmpty: Bool { count == 0 }

    /// The same bytes as the standard library's pointer type.
    @inlinable
    public var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: baseAddress, count: count) }
}

extension WireBytes: Hashable {
    @inlinable
    public static func == (left: Self, right: Self) -> Bool {
        left.count == right.count && left.hasSameBytes(as: right)
    }

    /// Whether as many bytes as both have are the same.
    @usableFromInline
    func hasSameBytes(as other: Self) -> Bool {
        guard let baseAddress, let otherAddress = other.baseAddress else { return true }
        return memcmp(baseAddress, otherAddress, count) == 0
    }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytes: buffer)
    }
}

extension WireBytes: Comparable {
    /// The order of the bytes, which for UTF-8 is that of the characters' numbers.
    public static func < (left: Self, right: Self) -> Bool {
        guard let leftAddress = left.baseAddress, let rightAddress = right.baseAddress else {
            return left.count < right.count
        }
        let order = memcmp(leftAddress, rightAddress, min(left.count, right.count))
        return order == 0 ? left.count < right.count : order < 0
    }
}

extension WireBytes: CustomStringConvertible {
    /// The bytes as text.
    public var description: String { String(self) }
}

extension String {
    /// Copies UTF-8 bytes; bytes of a decoded `string` field are always valid, others are repaired.
    public init(_ bytes: WireBytes) {
        self.init(decoding: bytes.buffer, as: UTF8.self)
    }
}

extension [UInt8] {
    /// Copies the bytes.
    public init(_ bytes: WireBytes) {
        self.init(bytes.buffer)
    }
}

extension Arena {
    /// Copies a string's UTF-8 bytes into the arena.
    public func copy(_ string: String) -> WireBytes {
        var string = string
        return string.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    /// Copies bytes into the arena.
    public func copy(_ bytes: [UInt8]) -> WireBytes {
        bytes.withUnsafeBytes { copy($0) }
    }

    /// Copies bytes into the arena.
    public func copy(_ bytes: UnsafeRawBufferPointer) -> WireBytes {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return WireBytes() }
        let copy = require(byteCount: bytes.count)
        copy.copyMemory(from: source, byteCount: bytes.count)
        return WireBytes(start: copy, count: bytes.count)
    }
}
