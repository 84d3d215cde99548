/// One field on the wire without its number.
enum WireValue {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(ArraySlice<UInt8>)
    case group
    case fixed32(UInt32)
}

/// Reads the fields of an encoded message, and trusts nothing.
struct WireReader {
    private var rest: ArraySlice<UInt8>
    /// Groups within groups that are passed over.
    private static let groupDepthLimit = 100

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    /// The next field; nil at the end.
    mutating func next() throws(JSONError) -> (number: UInt32, value: WireValue)? {
        guard !rest.isEmpty else { return nil }
        let (number, type) = try tag()
        return (number, try value(type, number, groupDepth: Self.groupDepthLimit))
    }

    mutating func varint() throws(JSONError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw Self.cutShort }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw JSONError(.malformed, "a varint has more than ten bytes; the bytes are not an encoded message")
    }

    mutating func fixed<Value: FixedWidthInteger>(_: Value.Type) throws(JSONError) -> Value {
        let bytes = try take(Value.bitWidth / 8)
        return bytes.reversed().reduce(0) { $0 << 8 | Value($1) }
    }

    private mutating func tag() throws(JSONError) -> (number: UInt32, type: UInt64) {
        let tag = try varint()
        guard tag >> 3 > 0, let number = UInt32(exactly: tag >> 3), number < 1 << 29 else {
            throw JSONError(.malformed, "a field has the number \(tag >> 3); the bytes are not an encoded message")
        }
        return (number, tag & 7)
    }

    private mutating func value(_ type: UInt64, _ number: UInt32, groupDepth: Int) throws(JSONError) -> WireValue {
        switch type {
        case 0: return .varint(try varint())
        case 1: return .fixed64(try fixed(UInt64.self))
        case 2: return .bytes(try take(Int(clamping: try varint())))
        case 3:
            try skipGroup(number, depth: groupDepth)
            return .group
        case 5: return .fixed32(try fixed(UInt32.self))
        default:
            throw JSONError(.malformed, "a field has the wire type \(type); the bytes are not an encoded message")
        }
    }

    private mutating func skipGroup(_ number: UInt32, depth: Int) throws(JSONError) {
        guard depth > 0 else { throw JSONError(.tooDeep, "unknown groups are nested too deep") }
        while true {
            let (inner, type) = try tag()
            if type == 4, inner == number { return }
            _ = try value(type, inner, groupDepth: depth - 1)
        }
    }

    private mutating func take(_ count: Int) throws(JSONError) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw Self.cutShort }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static let cutShort = JSONError(.malformed, "the encoded message is cut short")
}
