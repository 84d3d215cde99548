public import FletchWire

/// How messages are written as JSON. The default is the canonical form of the protobuf documentation.
public struct JSONEncodingOptions: Sendable {
    /// Writes fields without presence (numbers, strings, enums, lists and maps that are not `optional`) also where they
    /// have their default value.
    public var alwaysPrintFieldsWithNoPresence = false
    /// Writes the fields' names in the `.proto` file, `product_id`, in place of `productId`.
    public var preserveProtoFieldNames = false
    /// Writes lines, indented by two spaces.
    public var isPretty = false
    /// The types that messages in an `Any` may have, beside those of the message's own file and its imports.
    public var types = JSONTypeRegistry()
    /// How many messages may be nested within the outermost one.
    public var messageDepthLimit = 100

    public init() {}
}

/// How messages are read from JSON. The default refuses what the schema does not name.
public struct JSONDecodingOptions: Sendable {
    /// Passes over fields, and names of enum values, that the schema does not have.
    public var ignoreUnknownFields = false
    /// The types that messages in an `Any` may have, beside those of the message's own file and its imports.
    public var types = JSONTypeRegistry()
    /// How many messages may be nested within the outermost one.
    public var messageDepthLimit = 100
    /// Bytes that the text may have. Encoded it takes a few times as many.
    public var textSizeLimit = 64 << 20
    /// Bytes of memory that the message may take: ``DecodeLimits/memory``.
    public var messageMemoryLimit = DecodeLimits().memory

    public init() {}
}

/// Message types by name: those that files declare, and that the files they import declare.
public struct JSONTypeRegistry: Sendable {
    private let files: [FileDescriptor]

    /// Types of the files: `JSONTypeRegistry([ShopSchema.file])`.
    public init(_ files: [FileDescriptor] = []) { self.files = files }

    func message(_ name: String) -> MessageType? {
        for file in files {
            if let type = FileTypes.of(file).message(name) { return type }
        }
        return nil
    }
}
