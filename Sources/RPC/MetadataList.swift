internal import FletchHTTP2

/// Metadata of a call as values: names with their values in the order they came; a name may occur several times.
///
/// Names are in lower case. The values of names that end in `-bin` are bytes, kept in Base64; all others are printable
/// ASCII.
public struct MetadataList: Sendable, Hashable, Sequence, ExpressibleByDictionaryLiteral {
    /// One name with a value.
    public struct Field: Sendable, Hashable {
        public let name: String
        public let value: String
    }

    /// The fields in their order.
    public private(set) var fields: [Field] = []

    /// No metadata.
    public init() {}

    /// `["authorization": "Bearer x"]`.
    public init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0, value: $1) }
    }

    /// Adds a value; `name` does not end in `-bin`.
    public mutating func append(_ name: String, _ value: String) { fields.append(Field(name: name, value: value)) }

    /// Adds bytes; `name` ends in `-bin`.
    public mutating func append(_ name: String, bytes: some Collection<UInt8>) {
        fields.append(Field(name: name, value: Base64.encode(bytes)))
    }

    /// The first value of `name`, in lower case; nil where there is none.
    public subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// All values of a name that ends in `-bin`; what is not Base64 is left out.
    public func binaryValues(_ name: String) -> [[UInt8]] {
        fields.filter { $0.name == name }.flatMap { field in
            // Values may have been joined on their way.
            field.value.split(separator: ",", omittingEmptySubsequences: false).compactMap { part in
                var part = String(part)
                return part.withUTF8 { Base64.decode(trimmed(UnsafeRawBufferPointer($0)[...])) }
            }
        }
    }

    public var isEmpty: Bool { fields.isEmpty }

    public func makeIterator() -> IndexingIterator<[Field]> { fields.makeIterator() }

    /// - Throws: `invalidArgument` where a field cannot be sent, and why.
    package func checkSendable() throws(RPCError) {
        for field in fields {
            guard isValidName(field.name), field.value.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
                throw RPCError(
                    .invalidArgument,
                    "metadata '\(field.name)' cannot be sent: names are lower case and not reserved, "
                        + "values printable ASCII, or bytes where the name ends in -bin")
            }
        }
    }
}

/// The metadata that came with a response: give one to ``CallOptions/received`` and read it when the call is over,
/// whether it succeeded or failed.
public final class ReceivedMetadata: Sendable {
    private let initialCell = OnceCell<MetadataList>()
    private let trailingCell = OnceCell<MetadataList>()

    public init() {}

    /// What came before the first message, `fletch-schema` among it; nil where nothing has.
    public var initial: MetadataList? { initialCell.value }
    /// What came with the status; nil while the call is under way, or where it ended without one.
    public var trailing: MetadataList? { trailingCell.value }

    package func note(initial: MetadataList) { initialCell.set(initial) }
    package func note(trailing: MetadataList) { trailingCell.set(trailing) }
}
