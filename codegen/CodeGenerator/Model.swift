/// A `.proto` file as the generators see it: names resolved, memory laid out, everything unsupported refused.
struct FileModel {
    /// As given to protoc, for example `fletch/v1/related_products.proto`.
    let path: String
    /// The enum that holds what the file's types share, for example `RelatedProductsSchema`.
    let schemaName: String
    let descriptor: DescriptorModel
    /// The modules that have types which messages, and which services, refer to.
    let messageImports: Set<String>
    let serviceImports: Set<String>
    /// Messages outside other messages.
    let messages: [MessageModel]
    let enums: [EnumModel]
    let services: [ServiceModel]

    /// Every message of the file, outer ones before their nested ones: the order of its descriptors.
    var allMessages: [MessageModel] { messages.flatMap(\.withNested) }
}

/// What reflection says of a file.
struct DescriptorModel {
    enum Dependency {
        /// A file with generated code: the enum that holds what its types share.
        case schema(String)
        /// A file without: its index among the embedded.
        case embedded(Int)
    }

    let name: String
    let fingerprint: String
    let dependencies: [Dependency]
    /// Full names.
    let symbols: [String]
    /// The encoded `FileDescriptorProto`.
    let serialized: [UInt8]
    /// The files without generated code that this one imports, directly or not; each after those that it imports.
    var embedded: [DescriptorModel] = []
}

struct MessageModel {
    /// For example `fletch.v1.RelatedRequest`.
    let fullName: String
    /// Without the names of the messages that it is nested in.
    let swiftName: String
    /// With them.
    let qualifiedName: String
    /// Its index among the file's descriptors.
    let index: Int
    let comment: String
    /// In the order of their numbers.
    let fields: [FieldModel]
    let oneofs: [OneofModel]
    /// Bytes in memory.
    let size: Int
    let nestedMessages: [MessageModel]
    let nestedEnums: [EnumModel]

    var withNested: [MessageModel] { [self] + nestedMessages.flatMap(\.withNested) }
    /// The fields that are no members of a oneof.
    var plainFields: [FieldModel] { fields.filter { $0.oneof == nil } }
}

struct FieldModel {
    enum Value: Equatable {
        /// A number or bool: its Swift type, and how `FieldKind` names it.
        case scalar(swiftType: String, kind: String)
        case string
        case bytes
        case enumeration(swiftType: String)
        case message(swiftType: String, reference: MessageReference)
    }

    enum MessageReference: Equatable {
        /// Index among the descriptors of the same file.
        case index(Int)
        case imported
    }

    enum Cardinality: Equatable {
        /// Absent where it has its default value.
        case implicit
        /// `optional`.
        case explicit
        /// The key or value, if not a message, of a map's entry: always encoded, as every protobuf library does.
        case entry
        case repeated(packed: Bool)
        case map(key: Value, value: Value)
    }

    let name: String
    let number: Int32
    let isDeprecated: Bool
    /// Escaped where Swift reserves the word.
    let swiftName: String
    /// For the names of functions about the field: `makeItems`.
    let upperName: String
    let comment: String
    let value: Value
    let cardinality: Cardinality
    /// The index of its oneof in the message, where it is a member of one.
    let oneof: Int?
    /// Whether its message can contain the message that it is a field of.
    let isRecursive: Bool
    /// Where the value is in memory, in bytes, and its presence flag or its oneof's selector.
    let offset: Int
    let presenceOffset: Int
}

struct OneofModel {
    let name: String
    let swiftName: String
    /// For example `OneOf_Source`.
    let typeName: String
    let comment: String
    /// The members, in the order of their numbers.
    let fields: [FieldModel]
    let selectorOffset: Int
}

struct EnumModel {
    struct Value {
        let name: String
        let isDeprecated: Bool
        let swiftName: String
        let number: Int32
        let comment: String
    }

    let fullName: String
    let swiftName: String
    let comment: String
    let values: [Value]
}

struct ServiceModel {
    struct Method {
        let name: String
        let swiftName: String
        let comment: String
        /// Swift types of request and response.
        let input: String
        let output: String
        let clientStreaming: Bool
        let serverStreaming: Bool

        var isStreaming: Bool { clientStreaming || serverStreaming }
    }

    /// What the names of a service's declarations have behind its own: the protocols that servers implement, and the
    /// client.
    static let endings = ["", "Service", "ValueService", "AsyncService", "Client"]

    let fullName: String
    let swiftName: String
    let comment: String
    let methods: [Method]

    var hasStreams: Bool { methods.contains(where: \.isStreaming) }
}
