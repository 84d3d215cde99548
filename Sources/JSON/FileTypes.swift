internal import FletchWire

/// The message types of a `.proto` file, read from its descriptor.
final class FileTypes: Sendable {
    private let messages: [Name: MessageType]
    private let enums: [Name: EnumType]
    private let dependencies: [FileDescriptor]

    /// The types of a file, read once.
    static func of(_ file: FileDescriptor) -> FileTypes { file.model(FileTypes.init) }

    /// A message type that the file or one that it imports declares, directly or not.
    func message(_ name: String) -> MessageType? {
        var visited: Set<ObjectIdentifier> = []
        return find({ $0.messages[Name(name)] }, &visited)
    }

    fileprivate func enumeration(_ name: String) -> EnumType? {
        var visited: Set<ObjectIdentifier> = []
        return find({ $0.enums[Name(name)] }, &visited)
    }

    private func find<T>(_ entry: (FileTypes) -> T?, _ visited: inout Set<ObjectIdentifier>) -> T? {
        if let found = entry(self) { return found }
        for dependency in dependencies where visited.insert(ObjectIdentifier(dependency)).inserted {
            if let found = FileTypes.of(dependency).find(entry, &visited) { return found }
        }
        return nil
    }

    private init(_ file: FileDescriptor) {
        guard let descriptor = try? FileProto(file.serialized) else {
            preconditionFailure("the descriptor of \(file.name) is not an encoded FileDescriptorProto")
        }
        dependencies = file.dependencies
        messages = Dictionary(uniqueKeysWithValues: descriptor.messages.map { (Name($0.name), MessageType($0)) })
        enums = Dictionary(uniqueKeysWithValues: descriptor.enums.map { (Name($0.name), EnumType($0)) })
        // Entries of maps before the messages that they are nested in.
        for message in descriptor.messages.reversed() {
            messages[Name(message.name)]?.resolve(message.fields.compactMap { Field($0, in: self) })
        }
    }

    /// Messages may hold each other in circles, which would outlive the file: when two threads read one at the same time,
    /// the types of one of them go.
    deinit {
        for message in messages.values { message.resolve([]) }
    }
}

/// A name as a key, told apart by its bytes: Swift takes Strings for equal that are canonically equivalent, as `K` and the
/// sign for kelvins (U+212A) are.
private struct Name: Hashable {
    private let utf8: [UInt8]

    init(_ name: String) { utf8 = Array(name.utf8) }
}

/// An enum of a `.proto` file.
final class EnumType: Sendable {
    private let numbers: [Name: Int32]
    /// Of values with one number the first that the file names.
    let names: [Int32: String]
    /// `google.protobuf.NullValue`, which is null in JSON.
    let isNull: Bool

    fileprivate init(_ proto: EnumProto) {
        numbers = Dictionary(proto.values.map { (Name($0.name), $0.number) }) { first, _ in first }
        names = Dictionary(proto.values.map { ($0.number, $0.name) }) { first, _ in first }
        isNull = proto.name == "google.protobuf.NullValue"
    }

    func number(named name: String) -> Int32? { numbers[Name(name)] }
}

/// A message of a `.proto` file. Immutable once its file was read.
final class MessageType: @unchecked Sendable {
    /// The full name.
    let name: String
    let form: Form
    fileprivate let isMapEntry: Bool
    /// In the order of their numbers.
    private(set) var fields: [Field] = []
    private var indexByName: [Name: Int] = [:]
    private var indexByNumber: [UInt32: Int] = [:]

    /// What a message is in JSON.
    enum Form {
        case object, any, timestamp, duration, fieldMask, structure, value, listValue, wrapper
    }

    fileprivate init(_ proto: MessageProto) {
        name = proto.name
        form = Self.form(of: proto.name)
        isMapEntry = proto.isMapEntry
    }

    fileprivate func resolve(_ fields: [Field]) {
        self.fields = fields.sorted { $0.number < $1.number }
        for (index, field) in self.fields.enumerated() {
            indexByNumber[field.number] = index
            indexByName[Name(field.name)] = index
        }
        // A name in JSON goes before another field's name in the file.
        for (index, field) in self.fields.enumerated() { indexByName[Name(field.jsonName)] = index }
    }

    /// The index of a field by its name in JSON or in the `.proto` file.
    func index(named name: String) -> Int? { indexByName[Name(name)] }
    func index(numbered number: UInt32) -> Int? { indexByNumber[number] }

    private static func form(of name: String) -> Form {
        let package = "google.protobuf."
        guard name.hasPrefix(package) else { return .object }
        switch name.dropFirst(package.count) {
        case "Any": return .any
        case "Timestamp": return .timestamp
        case "Duration": return .duration
        case "FieldMask": return .fieldMask
        case "Struct": return .structure
        case "Value": return .value
        case "ListValue": return .listValue
        case "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue",
            "StringValue", "BytesValue":
            return .wrapper
        default: return .object
        }
    }
}

/// A field of a message.
struct Field {
    let number: UInt32
    let name: String
    let jsonName: String
    let kind: Kind
    let cardinality: Cardinality
    /// Tells the oneofs of a message apart; nil where the field is in none.
    let oneof: Int?

    enum Kind {
        case double, float, int32, sint32, sfixed32, uint32, fixed32, int64, sint64, sfixed64, uint64, fixed64
        case bool, string, bytes
        case enumeration(EnumType)
        case message(MessageType)
    }

    enum Cardinality: Equatable {
        /// Left out where it has its default value.
        case implicit
        /// Written wherever it is set: `optional`, a member of a oneof, a message.
        case explicit
        case repeated(packed: Bool)
        case map
    }
}

extension Field {
    /// Nil where the field is of a type that no proto3 file declares, which generated code does not have.
    fileprivate init?(_ proto: FieldProto, in file: FileTypes) {
        guard let kind = Kind(proto, in: file) else { return nil }
        number = proto.number
        name = proto.name
        jsonName = proto.jsonName
        self.kind = kind
        oneof = proto.isOptional ? nil : proto.oneof
        if case .message(let type) = kind, type.isMapEntry {
            guard type.fields.count == 2 else { return nil }
            cardinality = .map
        } else if proto.isRepeated {
            cardinality = .repeated(packed: kind.isPackable && proto.packed != false)
        } else if proto.oneof != nil || proto.isOptional || kind.isMessage {
            cardinality = .explicit
        } else {
            cardinality = .implicit
        }
    }
}

extension Field.Kind {
    var isMessage: Bool { if case .message = self { true } else { false } }

    /// google.protobuf.Value and NullValue, for which null is a value.
    var takesNull: Bool {
        switch self {
        case .enumeration(let type): type.isNull
        case .message(let type): type.form == .value
        default: false
        }
    }

    var wireType: WireType {
        switch self {
        case .int32, .sint32, .uint32, .int64, .sint64, .uint64, .bool, .enumeration: .varint
        case .float, .sfixed32, .fixed32: .fixed32
        case .double, .sfixed64, .fixed64: .fixed64
        case .string, .bytes, .message: .bytes
        }
    }

    var isPackable: Bool { wireType != .bytes }

    /// By `FieldDescriptorProto.Type`.
    fileprivate init?(_ proto: FieldProto, in file: FileTypes) {
        switch proto.type {
        case 1: self = .double
        case 2: self = .float
        case 3: self = .int64
        case 4: self = .uint64
        case 5: self = .int32
        case 6: self = .fixed64
        case 7: self = .fixed32
        case 8: self = .bool
        case 9: self = .string
        case 12: self = .bytes
        case 13: self = .uint32
        case 15: self = .sfixed32
        case 16: self = .sfixed64
        case 17: self = .sint32
        case 18: self = .sint64
        case 11:
            guard let type = file.message(proto.typeName) else { return nil }
            self = .message(type)
        case 14:
            guard let type = file.enumeration(proto.typeName) else { return nil }
            self = .enumeration(type)
        default: return nil
        }
    }
}
