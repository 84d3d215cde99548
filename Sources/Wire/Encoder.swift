internal import CProtobufC

/// Encodes messages as protobuf-c lays them out, from their last byte to their first: where a message's length is
/// written, the message is already there, so nothing is measured beforehand. The bytes are those of
/// `protobuf_c_message_pack`, which walks every message twice.
///
/// Every write is checked against the room that there is; the functions that write return false where it ends.
struct Encoder {
    private let start: UnsafeMutableRawPointer
    /// The first byte written so far; the room that is left ends here.
    private(set) var cursor: UnsafeMutableRawPointer

    /// An encoder whose last byte comes right before the end of `room`.
    init(room: UnsafeMutableRawBufferPointer) {
        start = room.baseAddress!
        cursor = start + room.count
    }

    /// A message of the type.
    @inline(never)
    mutating func put(_ message: UnsafeRawPointer, _ type: UnsafePointer<MessageTable>) -> Bool {
        if message.assumingMemoryBound(to: ProtobufCMessage.self).pointee.n_unknown_fields > 0 {
            guard putUnknownFields(message) else { return false }
        }
        let first = type.pointee.fields.baseAddress!
        var field = first + type.pointee.fields.count
        while field > first {
            field -= 1
            guard put(field, of: message) else { return false }
        }
        return true
    }

    @inline(never)
    private mutating func putUnknownFields(_ message: UnsafeRawPointer) -> Bool {
        let message = message.assumingMemoryBound(to: ProtobufCMessage.self)
        var index = Int(message.pointee.n_unknown_fields)
        while index > 0 {
            index -= 1
            let field = message.pointee.unknown_fields! + index
            let tag = UInt64(field.pointee.tag) << 3 | UInt64(field.pointee.wire_type.rawValue)
            guard put(field.pointee.data, count: field.pointee.len), putVarint(tag) else { return false }
        }
        return true
    }

    /// A field, where the message has it.
    @inline(__always)
    private mutating func put(_ field: UnsafePointer<TableField>, of message: UnsafeRawPointer) -> Bool {
        let value = message + Int(field.pointee.offset)
        switch field.pointee.presence {
        case .repeated: return putRepeated(field, value)
        case .packed: return putPacked(field, value)
        case .implicit:
            if isDefault(field, value) { return true }
        case .explicit:
            if message.load(fromByteOffset: Int(field.pointee.selector), as: Int32.self) == 0 { return true }
        case .oneof:
            let member = message.load(fromByteOffset: Int(field.pointee.selector), as: UInt32.self)
            if member != field.pointee.number { return true }
            // A oneof may say that it is a message which nobody has made.
            if field.pointee.form == .message, isDefault(field, value) { return true }
        }
        return putValue(field, value) && putVarint(field.pointee.tag)
    }

    @inline(never)
    private mutating func putRepeated(_ field: UnsafePointer<TableField>, _ array: UnsafeRawPointer) -> Bool {
        var index = array.load(as: Int.self)
        guard index > 0, let elements = array.load(fromByteOffset: 8, as: UnsafeRawPointer?.self) else { return true }
        let stride = Int(field.pointee.valueSize)
        while index > 0 {
            index -= 1
            guard putValue(field, elements + index * stride), putVarint(field.pointee.tag) else { return false }
        }
        return true
    }

    @inline(never)
    private mutating func putPacked(_ field: UnsafePointer<TableField>, _ array: UnsafeRawPointer) -> Bool {
        var index = array.load(as: Int.self)
        guard index > 0, let elements = array.load(fromByteOffset: 8, as: UnsafeRawPointer?.self) else { return true }
        let stride = Int(field.pointee.valueSize)
        let end = cursor
        if field.pointee.form == .fixed32 || field.pointee.form == .fixed64 {
            guard put(elements, count: index * stride) else { return false }
        } else {
            while index > 0 {
                index -= 1
                guard putValue(field, elements + index * stride) else { return false }
            }
        }
        return putVarint(UInt64(end - cursor)) && putVarint(field.pointee.tag)
    }

    /// One value without its tag.
    @inline(__always)
    private mutating func putValue(_ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer) -> Bool {
        switch field.pointee.form {
        case .int32: return putVarint(UInt64(bitPattern: Int64(value.load(as: Int32.self))))
        case .uint32: return putVarint(UInt64(value.load(as: UInt32.self)))
        case .sint32: return putVarint(UInt64(UInt32(bitPattern: zigzag(value.load(as: Int32.self)))))
        case .int64: return putVarint(value.load(as: UInt64.self))
        case .sint64: return putVarint(UInt64(bitPattern: zigzag(value.load(as: Int64.self))))
        case .bool: return putVarint(value.load(as: Int32.self) == 0 ? 0 : 1)
        case .fixed32: return put(value, count: 4)
        case .fixed64: return put(value, count: 8)
        case .bytes:
            let bytes = value.load(as: WireBytes.self)
            return put(bytes.baseAddress, count: bytes.count) && putVarint(UInt64(bytes.count))
        case .message:
            let end = cursor
            return put(value.load(as: UnsafeRawPointer.self), field.pointee.message!)
                && putVarint(UInt64(end - cursor))
        }
    }

    @inline(__always)
    private mutating func put(_ bytes: UnsafeRawPointer?, count: Int) -> Bool {
        guard count <= cursor - start else { return false }
        guard let bytes else { return true }
        cursor -= count
        cursor.copyMemory(from: bytes, byteCount: count)
        return true
    }

    @inline(__always)
    private mutating func putVarint(_ value: UInt64) -> Bool {
        guard value >= 0x80 else {
            guard cursor > start else { return false }
            cursor -= 1
            cursor.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
            return true
        }
        return putLongVarint(value)
    }

    @inline(never)
    private mutating func putLongVarint(_ value: UInt64) -> Bool {
        let count = (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7
        guard count <= cursor - start else { return false }
        cursor -= count
        for index in 0..<count {
            let continuation: UInt8 = index < count - 1 ? 0x80 : 0
            let group = UInt8(truncatingIfNeeded: value &>> UInt64(7 * index)) & 0x7f
            cursor.storeBytes(of: group | continuation, toByteOffset: index, as: UInt8.self)
        }
        return true
    }
}

/// Whether a value's bits are zero: all those of a number, the length of a string, the address of a message.
@inline(__always)
private func isDefault(_ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer) -> Bool {
    field.pointee.valueSize == 4 ? value.load(as: UInt32.self) == 0 : value.load(as: UInt64.self) == 0
}

/// Small numbers of either sign as small unsigned ones, in their bits.
@inline(__always)
private func zigzag<Integer: FixedWidthInteger & SignedInteger>(_ value: Integer) -> Integer {
    (value << 1) ^ (value >> (Integer.bitWidth - 1))
}
