/// Lays fields out in a message's memory as a C compiler would lay out protobuf-c's struct.
struct Layout {
    /// Bytes so far. Every message starts with protobuf-c's `ProtobufCMessage`: descriptor, count of unknown fields,
    /// unknown fields.
    private(set) var size = 24

    /// Where a value of `byteCount` bytes, aligned to at most eight, goes.
    mutating func place(_ byteCount: Int) -> Int {
        let alignment = min(byteCount, 8)
        let offset = (size + alignment - 1) / alignment * alignment
        size = offset + byteCount
        return offset
    }

    /// Bytes of the whole message.
    var total: Int { (size + 7) / 8 * 8 }
}

extension FieldModel.Value {
    /// Bytes of one value in memory.
    var byteCount: Int {
        switch self {
        case .scalar(let swiftType, _): ["Double", "Int64", "UInt64"].contains(swiftType) ? 8 : 4
        case .enumeration: 4
        case .string, .bytes: 16
        case .message: 8
        }
    }

    var isMessage: Bool { if case .message = self { true } else { false } }
}
