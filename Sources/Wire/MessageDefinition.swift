/// The type of a field's values, as a `.proto` file spells it.
public enum FieldKind {
    case double, float, int64, uint64, int32, fixed64, fixed32, bool, string, bytes, uint32, enumeration
    case sfixed32, sfixed64, sint32, sint64
    case message(MessageReference)
}

/// The message type of a field: by index among the messages defined together (which may refer to each other in
/// cycles), or one defined elsewhere.
public enum MessageReference {
    case index(Int)
    case type(MessageDescriptor)
}

/// How often a field occurs and how its absence shows.
public enum FieldLabel: Hashable {
    /// Left out where it has its default value (a message: where it is not set).
    case implicit
    /// `optional`: a presence flag, an Int32, at the given offset.
    case explicit(flag: Int)
    /// A count and a pointer to the elements; written packed or not, read either way.
    case repeated(packed: Bool)
    /// Shares its memory with the other members; the number of the one that is set, a UInt32, at the given offset.
    case oneof(selector: Int)
}

/// One field as generated code describes it to ``MessageDescriptor/define(in:_:)``.
public struct FieldDefinition {
    let number: UInt32
    let name: StaticString
    let kind: FieldKind
    let label: FieldLabel
    let offset: Int

    /// - Parameters:
    ///   - number: The field number.
    ///   - name: The name in the `.proto` file.
    ///   - offset: Where the value is in the message's memory, in bytes.
    public init(_ number: UInt32, _ name: StaticString, _ kind: FieldKind, _ label: FieldLabel, offset: Int) {
        self.number = number
        self.name = name
        self.kind = kind
        self.label = label
        self.offset = offset
    }
}

/// One message type as generated code describes it to ``MessageDescriptor/define(in:_:)``.
public struct MessageDefinition {
    let name: StaticString
    let size: Int
    let fields: [FieldDefinition]

    /// - Parameters:
    ///   - name: The full name, for example `fletch.v1.RelatedRequest`.
    ///   - size: Bytes of a message in memory, header included, a multiple of eight.
    ///   - fields: In the order of their numbers.
    public init(_ name: StaticString, size: Int, fields: [FieldDefinition]) {
        self.name = name
        self.size = size
        self.fields = fields
    }
}
