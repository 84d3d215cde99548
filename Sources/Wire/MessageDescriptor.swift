internal import CProtobufC

/// A message type at run time: protobuf-c's descriptor and our own table for coding. Immortal.
public struct MessageDescriptor: @unchecked Sendable {
    /// The `ProtobufCMessageDescriptor`: the first word of every message in memory.
    @usableFromInline let handle: UnsafeRawPointer
    /// Bytes of a message in memory.
    @usableFromInline let size: Int
    let table: UnsafePointer<MessageTable>

    /// The full name of the type, for example `fletch.v1.RelatedRequest`.
    public var name: String {
        String(cString: handle.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).pointee.name)
    }

    /// The file that declares the type.
    public var file: FileDescriptor { table.pointee.file.takeUnretainedValue() }

    /// Makes the descriptors of messages that may refer to each other. They are never released: call this once for
    /// each type, from a `static let`.
    ///
    /// - Parameter file: The file that declares all of them.
    public static func define(in file: FileDescriptor, _ definitions: [MessageDefinition]) -> [MessageDescriptor] {
        // All addresses exist before any field is filled in, so that messages can refer to each other in cycles.
        let descriptors = definitions.map { definition in
            let handle = UnsafeMutablePointer<ProtobufCMessageDescriptor>.allocate(capacity: 1)
            let table = UnsafeMutablePointer<MessageTable>.allocate(capacity: 1)
            return MessageDescriptor(handle: handle, size: definition.size, table: table)
        }
        for (definition, descriptor) in zip(definitions, descriptors) {
            let fields = definition.fields.map { ResolvedField($0, among: descriptors) }
            precondition(zip(fields, fields.dropFirst()).allSatisfy { $0.number < $1.number })
            UnsafeMutablePointer(mutating: descriptor.table)
                .initialize(to: MessageTable(definition, fields, handle: descriptor.handle, in: file))
            descriptor.handle.assumingMemoryBound(to: ProtobufCMessageDescriptor.self).mutable
                .initialize(to: ProtobufCMessageDescriptor(definition, fields))
        }
        return descriptors
    }
}

/// A field definition with its message reference looked up and its kind taken apart.
struct ResolvedField {
    let definition: FieldDefinition
    let message: MessageDescriptor?

    init(_ definition: FieldDefinition, among descriptors: [MessageDescriptor]) {
        self.definition = definition
        switch definition.kind {
        case .message(.index(let index)): message = descriptors[index]
        case .message(.type(let type)): message = type
        default: message = nil
        }
    }

    var number: UInt32 { definition.number }
    var name: UnsafePointer<CChar> {
        UnsafeRawPointer(definition.name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    var isRepeated: Bool { if case .repeated = definition.label { true } else { false } }

    /// The type that protobuf-c is told. Where it differs from the field's, the bytes on the wire are the same:
    /// - float and double are fixed-width integers, as protobuf-c takes -0.0 for the default and would leave it out;
    /// - string is bytes, which carry their length, as protobuf-c would cut it at its first NUL;
    /// - enum is int32, which any value fits: enums are open.
    var type: ProtobufCType {
        switch definition.kind {
        case .int32, .enumeration: PROTOBUF_C_TYPE_INT32
        case .sint32: PROTOBUF_C_TYPE_SINT32
        case .sfixed32: PROTOBUF_C_TYPE_SFIXED32
        case .int64: PROTOBUF_C_TYPE_INT64
        case .sint64: PROTOBUF_C_TYPE_SINT64
        case .sfixed64: PROTOBUF_C_TYPE_SFIXED64
        case .uint32: PROTOBUF_C_TYPE_UINT32
        case .fixed32, .float: PROTOBUF_C_TYPE_FIXED32
        case .uint64: PROTOBUF_C_TYPE_UINT64
        case .fixed64, .double: PROTOBUF_C_TYPE_FIXED64
        case .bool: PROTOBUF_C_TYPE_BOOL
        case .string, .bytes: PROTOBUF_C_TYPE_BYTES
        case .message: PROTOBUF_C_TYPE_MESSAGE
        }
    }
}

extension ProtobufCMessageDescriptor {
    fileprivate init(_ definition: MessageDefinition, _ fields: [ResolvedField]) {
        self.init()
        let name = UnsafeRawPointer(definition.name.utf8Start).assumingMemoryBound(to: CChar.self)
        magic = UInt32(PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC)
        self.name = name
        short_name = name
        c_name = name
        package_name = name
        sizeof_message = definition.size
        n_fields = UInt32(fields.count)
        // protobuf-c looks at the first field without looking at their count: no fields must be no array.
        guard !fields.isEmpty else { return }
        self.fields = immortal(fields.map { ProtobufCFieldDescriptor($0) })
        fields_sorted_by_name = immortal(
            fields.indices.sorted { "\(fields[$0].definition.name)" < "\(fields[$1].definition.name)" }
                .map(UInt32.init))
        let ranges = ProtobufCIntRange.ranges(of: fields.map(\.number))
        n_field_ranges = UInt32(ranges.count - 1)
        field_ranges = immortal(ranges)
    }
}

extension ProtobufCFieldDescriptor {
    fileprivate init(_ field: ResolvedField) {
        self.init()
        name = field.name
        id = field.number
        type = field.type
        offset = UInt32(field.definition.offset)
        descriptor = field.message.map { $0.handle }
        switch field.definition.label {
        case .implicit:
            label = PROTOBUF_C_LABEL_NONE
        case .explicit(let flag):
            label = PROTOBUF_C_LABEL_OPTIONAL
            quantifier_offset = UInt32(flag)
        case .repeated(let packed):
            label = PROTOBUF_C_LABEL_REPEATED
            quantifier_offset = offset
            offset += UInt32(MemoryLayout<Int>.size)
            flags = packed ? PROTOBUF_C_FIELD_FLAG_PACKED.rawValue : 0
        case .oneof(let selector):
            label = PROTOBUF_C_LABEL_NONE
            quantifier_offset = UInt32(selector)
            flags = PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue
        }
    }
}

extension ProtobufCIntRange {
    /// Runs of consecutive numbers, each with the index of its first; a last entry holds the count of all.
    fileprivate static func ranges(of numbers: [UInt32]) -> [ProtobufCIntRange] {
        var ranges: [ProtobufCIntRange] = []
        for (index, number) in numbers.enumerated() where index == 0 || numbers[index - 1] + 1 != number {
            ranges.append(ProtobufCIntRange(start_value: Int32(number), orig_index: UInt32(index)))
        }
        ranges.append(ProtobufCIntRange(start_value: 0, orig_index: UInt32(numbers.count)))
        return ranges
    }
}

/// A copy of `elements` that is never released.
func immortal<Element>(_ elements: [Element]) -> UnsafePointer<Element> {
    let copy = UnsafeMutablePointer<Element>.allocate(capacity: max(elements.count, 1))
    copy.initialize(from: elements, count: elements.count)
    return UnsafePointer(copy)
}

extension UnsafePointer {
    fileprivate var mutable: UnsafeMutablePointer<Pointee> { UnsafeMutablePointer(mutating: self) }
}
