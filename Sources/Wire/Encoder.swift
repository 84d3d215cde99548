internal import CProtobufC

/// Encodes messages as protobuf-c lays them out, from their last byte to their first: where a message's length is
/// written, the message is already there, so nothing is measured beforehand. The bytes are those that
/// `protobuf_c_message_pack` writes into memory whose size its caller must find out first, by a walk of its own.
///
/// Every function writes right before `end` and returns where its bytes start; nil where there is no room. No byte
/// before the start of the room is ever written.
struct Encoder {
    typealias Position = UnsafeMutableRawPointer

    private let start: Position

    /// An encoder into the memory from `start` on.
    init(start: Position) { self.start = start }

    /// A message of the type.
    @inline(never)
    func put(_ message: UnsafeRawPointer, _ type: UnsafePointer<MessageTable>, before end: Position) -> Position? {
        guard var end = putUnknownFields(of: message, before: end) else { return nil }
        let first = type.pointee.fields.baseAddress!
        var field = first + type.pointee.fields.count
        while field > first {
            field -= 1
            guard let next = put(field, of: message, before: end) else { return nil }
            end = next
        }
        return end
    }

    @inline(__always)
    private func putUnknownFields(of message: UnsafeRawPointer, before end: Position) -> Position? {
        let message = message.assumingMemoryBound(to: ProtobufCMessage.self)
        var end = end
        var index = Int(message.pointee.n_unknown_fields)
        while index > 0 {
            index &-= 1
            let field = message.pointee.unknown_fields! + index
            let tag = UInt64(field.pointee.tag) << 3 | UInt64(field.pointee.wire_type.rawValue)
            guard let data = put(field.pointee.data, count: field.pointee.len, before: end),
                let next = putVarint(tag, before: data)
            else { return nil }
            end = next
        }
        return end
    }

    /// A field, where the message has it.
    @inline(__always)
    private func put(
        _ field: UnsafePointer<TableField>, of message: UnsafeRawPointer, before end: Position
    ) -> Position? {
        let value = message + Int(field.pointee.offset)
        switch field.pointee.presence {
        case .repeated: return putRepeated(field, value, before: end)
        case .packed: return putPacked(field, value, before: end)
        case .implicit:
            if isDefault(field, value) { return end }
        case .explicit:
            if message.load(fromByteOffset: Int(field.pointee.selector), as: Int32.self) == 0 { return end }
        case .oneof:
            let member = message.load(fromByteOffset: Int(field.pointee.selector), as: UInt32.self)
            if member != field.pointee.number { return end }
            // A oneof may say that it is a message which nobody has made.
            if field.pointee.form == .message, isDefault(field, value) { return end }
        }
        return putTagged(field, value, before: end)
    }

    @inline(never)
    private func putRepeated(
        _ field: UnsafePointer<TableField>, _ array: UnsafeRawPointer, before end: Position
    ) -> Position? {
        let elements = RepeatedElements(field, array)
        var end = end
        var element = elements.end
        while element > elements.start {
            element -= elements.stride
            guard let next = putTagged(field, element, before: end) else { return nil }
            end = next
        }
        return end
    }

    @inline(never)
    private func putPacked(
        _ field: UnsafePointer<TableField>, _ array: UnsafeRawPointer, before end: Position
    ) -> Position? {
        let elements = RepeatedElements(field, array)
        guard elements.start < elements.end else { return end }
        var start = end
        var element = elements.end
        while element > elements.start {
            element -= elements.stride
            guard let next = putValue(field, element, before: start) else { return nil }
            start = next
        }
        guard let length = putVarint(UInt64(end - start), before: start) else { return nil }
        return putVarint(field.pointee.tag, before: length)
    }

    @inline(__always)
    private func putTagged(
        _ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer, before end: Position
    ) -> Position? {
        guard let start = putValue(field, value, before: end) else { return nil }
        return putVarint(field.pointee.tag, before: start)
    }

    /// One value without its tag.
    @inline(__always)
    private func putValue(
        _ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer, before end: Position
    ) -> Position? {
        switch field.pointee.form {
        case .int32: return putVarint(UInt64(bitPattern: Int64(value.load(as: Int32.self))), before: end)
        case .uint32: return putVarint(UInt64(value.load(as: UInt32.self)), before: end)
        case .sint32: return putVarint(UInt64(UInt32(bitPattern: zigzag(value.load(as: Int32.self)))), before: end)
        case .int64: return putVarint(value.load(as: UInt64.self), before: end)
        case .sint64: return putVarint(UInt64(bitPattern: zigzag(value.load(as: Int64.self))), before: end)
        case .bool: return putVarint(value.load(as: Int32.self) == 0 ? 0 : 1, before: end)
        case .fixed32: return put(value, count: 4, before: end)
        case .fixed64: return put(value, count: 8, before: end)
        case .bytes:
            let bytes = value.load(as: WireBytes.self)
            guard let start = put(bytes.baseAddress, count: bytes.count, before: end) else { return nil }
            return putVarint(UInt64(bytes.count), before: start)
        case .message:
            let message = value.load(as: UnsafeRawPointer.self)
            guard let start = put(message, field.pointee.message!, before: end) else { return nil }
            return putVarint(UInt64(end - start), before: start)
        }
    }

    @inline(__always)
    private func put(_ bytes: UnsafeRawPointer?, count: Int, before end: Position) -> Position? {
        guard count <= end - start else { return nil }
        guard let bytes else { return end }
        let position = end - count
        position.copyMemory(from: bytes, byteCount: count)
        return position
    }

    @inline(__always)
    private func putVarint(_ value: UInt64, before end: Position) -> Position? {
        guard value < 0x80 else { return putLongVarint(value, before: end) }
        guard start < end else { return nil }
        let position = end - 1
        position.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        return position
    }

    @inline(never)
    private func putLongVarint(_ value: UInt64, before end: Position) -> Position? {
        // Bits divided by seven, rounded up.
        let count = ((UInt64.bitWidth &- value.leadingZeroBitCount) &* 9 &+ 64) / 64
        guard count <= end - start else { return nil }
        let position = end - count
        var rest = value
        var next = position
        while rest >= 0x80 {
            next.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            rest &>>= 7
            next += 1
        }
        next.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        return position
    }
}

/// The elements of a repeated field in memory; empty where there are none, whatever the field's address is then.
struct RepeatedElements {
    let start: UnsafeRawPointer
    let end: UnsafeRawPointer
    let stride: Int

    @inline(__always)
    init(_ field: UnsafePointer<TableField>, _ array: UnsafeRawPointer) {
        stride = Int(field.pointee.valueSize)
        start = array.load(fromByteOffset: 8, as: UnsafeRawPointer?.self) ?? array
        end = start + array.load(as: Int.self) &* stride
    }
}

/// Whether a value's bits are zero: all those of a number, the length of a string, the address of a message.
@inline(__always)
func isDefault(_ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer) -> Bool {
    field.pointee.valueSize == 4 ? value.load(as: UInt32.self) == 0 : value.load(as: UInt64.self) == 0
}

/// Small numbers of either sign as small unsigned ones, in their bits.
@inline(__always)
private func zigzag<Integer: FixedWidthInteger & SignedInteger>(_ value: Integer) -> Integer {
    (value << 1) ^ (value >> (Integer.bitWidth - 1))
}
