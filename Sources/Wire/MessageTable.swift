internal import CProtobufC

/// What the decoder and the encoder need to know of a field, in one cache line.
struct TableField {
    let number: UInt32
    /// The wire type of one value.
    let wireType: WireType
    let isRepeated: Bool
    /// Repeated, and its values may also come packed into one length-prefixed run.
    let isPackable: Bool
    let isUTF8: Bool
    /// How the bits of a number are read; of no meaning to other fields.
    let numberKind: NumberKind
    let presence: Presence
    let form: ValueForm
    /// Bytes that one value takes in memory.
    let valueSize: UInt8
    /// Where the value is in the message's memory; of a repeated field its count, with the elements' address behind.
    let offset: UInt32
    /// Where the message says which member of a oneof it has, or whether it has an explicit field; 0 for others.
    let selector: UInt32
    /// What stands in front of the field on the wire.
    let tag: UInt64
    let message: UnsafePointer<MessageTable>?
    let name: UnsafePointer<CChar>
}

extension TableField {
    /// How a message tells whether it has the field.
    enum Presence: UInt8 {
        case implicit, explicit, oneof, repeated, packed
    }

    /// How a value is in memory and on the wire.
    enum ValueForm: UInt8 {
        case int32, uint32, sint32, int64, sint64, bool, fixed32, fixed64, bytes, message
    }

    /// What the bits of a number mean, which the wire does not tell.
    enum NumberKind: UInt8 {
        case signed, unsigned, floatingPoint
    }

    /// Whether a value may come with the wire type; another one makes an unknown field of it.
    @inline(__always)
    func accepts(_ wireType: WireType) -> Bool {
        wireType == self.wireType || (wireType == .lengthPrefixed && isPackable)
    }
}

/// A message type as the decoder and the encoder read it.
struct MessageTable {
    let name: UnsafePointer<CChar>
    /// The first word of every message: protobuf-c's descriptor.
    let handle: UnsafeRawPointer
    /// Bytes of a message in the arena.
    let size: Int
    /// Retained for ever, so that copying a ``MessageDescriptor`` retains nothing.
    let file: Unmanaged<FileDescriptor>
    let fields: UnsafeBufferPointer<TableField>
    /// For each field number below ``denseCount``, one more than the field's index; 0 where there is none.
    fileprivate let dense: UnsafePointer<UInt16>

    /// Fields with numbers below this are found by one load, others by binary search.
    fileprivate static var denseCount: UInt32 { 128 }
}

extension UnsafePointer<MessageTable> {
    /// The field of a number; nil where the type has none.
    @inline(__always)
    func field(_ number: UInt32) -> UnsafePointer<TableField>? {
        if number < MessageTable.denseCount {
            let entry = Int(pointee.dense[Int(number)])
            return entry == 0 ? nil : pointee.fields.baseAddress! + (entry &- 1)
        }
        return search(number)
    }

    @inline(never)
    private func search(_ number: UInt32) -> UnsafePointer<TableField>? {
        let fields = pointee.fields
        var low = 0
        var high = fields.count
        while low < high {
            let middle = (low + high) / 2
            if fields[middle].number < number { low = middle + 1 } else { high = middle }
        }
        guard low < fields.count, fields[low].number == number else { return nil }
        return fields.baseAddress! + low
    }
}

extension MessageTable {
    init(
        _ definition: MessageDefinition, _ resolved: [ResolvedField], handle: UnsafeRawPointer, in file: FileDescriptor
    ) {
        let fields = resolved.map { TableField($0) }
        var dense = [UInt16](repeating: 0, count: Int(Self.denseCount))
        for (index, field) in fields.enumerated() where field.number < Self.denseCount {
            dense[Int(field.number)] = UInt16(index + 1)
        }
        self.init(
            name: UnsafeRawPointer(definition.name.utf8Start).assumingMemoryBound(to: CChar.self),
            handle: handle, size: roundedToArena(definition.size), file: Unmanaged.passRetained(file),
            fields: UnsafeBufferPointer(start: immortal(fields), count: fields.count), dense: immortal(dense))
    }
}

extension TableField {
    fileprivate init(_ field: ResolvedField) {
        let wireType = WireType(of: field.type)
        number = field.number
        self.wireType = wireType
        isRepeated = field.isRepeated
        isPackable = field.isRepeated && wireType != .lengthPrefixed
        if case .string = field.definition.kind { isUTF8 = true } else { isUTF8 = false }
        valueSize = UInt8(memorySize(of: field.type))
        numberKind = NumberKind(field.definition.kind)
        form = ValueForm(field.definition.kind)
        offset = UInt32(field.definition.offset)
        switch field.definition.label {
        // A message shows its presence by its address.
        case .explicit where form == .message: (presence, selector) = (.implicit, 0)
        case .implicit: (presence, selector) = (.implicit, 0)
        case .explicit(let flag): (presence, selector) = (.explicit, UInt32(flag))
        case .repeated(let packed): (presence, selector) = (packed ? .packed : .repeated, 0)
        case .oneof(let selector): (presence, self.selector) = (.oneof, UInt32(selector))
        }
        let outerWireType = presence == .packed ? WireType.lengthPrefixed : wireType
        tag = UInt64(number) << 3 | UInt64(outerWireType.rawValue)
        message = field.message?.table
        name = field.name
    }
}

extension TableField.ValueForm {
    fileprivate init(_ kind: FieldKind) {
        switch kind {
        case .int32, .enumeration: self = .int32
        case .uint32: self = .uint32
        case .sint32: self = .sint32
        case .int64, .uint64: self = .int64
        case .sint64: self = .sint64
        case .bool: self = .bool
        case .fixed32, .sfixed32, .float: self = .fixed32
        case .fixed64, .sfixed64, .double: self = .fixed64
        case .string, .bytes: self = .bytes
        case .message: self = .message
        }
    }
}

extension TableField.NumberKind {
    fileprivate init(_ kind: FieldKind) {
        switch kind {
        case .uint32, .uint64, .fixed32, .fixed64: self = .unsigned
        case .float, .double: self = .floatingPoint
        default: self = .signed
        }
    }
}

/// How a value is delimited on the wire.
enum WireType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case lengthPrefixed = 2
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5

    init(of type: ProtobufCType) {
        switch type {
        case PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32: self = .fixed32
        case PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64: self = .fixed64
        case PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE: self = .lengthPrefixed
        default: self = .varint
        }
    }
}

/// Bytes of one element in a repeated field's array.
private func memorySize(of type: ProtobufCType) -> Int {
    switch type {
    case PROTOBUF_C_TYPE_BYTES: 16
    case PROTOBUF_C_TYPE_INT64, PROTOBUF_C_TYPE_SINT64, PROTOBUF_C_TYPE_SFIXED64, PROTOBUF_C_TYPE_UINT64,
        PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_MESSAGE:
        8
    default: 4
    }
}

/// The bytes that an allocation of `byteCount` takes in an arena.
@inline(__always)
func roundedToArena(_ byteCount: Int) -> Int {
    (byteCount &+ (Arena.alignment &- 1)) & ~(Arena.alignment &- 1)
}
