extension [UInt8] {
    mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func appendFixed<Value: FixedWidthInteger>(_ value: Value) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    mutating func appendTag(_ number: UInt32, _ type: WireType) {
        appendVarint(UInt64(number) << 3 | UInt64(type.rawValue))
    }

    mutating func appendField(_ number: UInt32, _ content: some Collection<UInt8>) {
        appendTag(number, .bytes)
        appendVarint(UInt64(content.count))
        append(contentsOf: content)
    }

    /// Puts the length of everything from `start` on before it.
    mutating func insertLength(at start: Int) {
        var length: [UInt8] = []
        length.appendVarint(UInt64(count - start))
        insert(contentsOf: length, at: start)
    }
}

/// The wire types that proto3 writes.
enum WireType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case bytes = 2
    case fixed32 = 5
}
