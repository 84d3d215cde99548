internal import Synchronization

/// A `.proto` file as server reflection hands it out. Generated code makes one for each file.
public final class FileDescriptor: Sendable {
    /// As given to protoc, for example `fletch/v1/related_products.proto`.
    public let name: String
    /// Identifies what the file's schema means, with all types that it needs of others: 16 hexadecimal digits. The same
    /// as long as no name, number, type or label changes; comments, options without a meaning on the wire or in JSON, and
    /// the order of declarations do not count (codegen/README.md has the definition).
    public let fingerprint: String
    /// The files that this one imports.
    public let dependencies: [FileDescriptor]
    /// The full names of the messages, enums, services and methods that the file declares.
    public let symbols: [String]
    private let literal: StaticString

    private let model = AtomicLazyReference<Model>()

    /// The encoded `google.protobuf.FileDescriptorProto`, without source_code_info. Made anew each time, so that a
    /// program which never asks for it pays nothing.
    public var serialized: [UInt8] { literal.description.unicodeScalars.map { UInt8($0.value) } }

    /// - Parameter serialized: The encoded descriptor, each byte as the character of its number (U+0000 to U+00FF):
    ///   a literal that compiles fast and shows in a diff what a schema's change did.
    public init(
        name: String, fingerprint: String, dependencies: [FileDescriptor], symbols: [String],
        serialized: StaticString
    ) {
        self.name = name
        self.fingerprint = fingerprint
        self.dependencies = dependencies
        self.symbols = symbols
        literal = serialized
    }

    /// What `make` makes of the file, kept from the first call on. One type of model for each program: FletchJSON's.
    package func model<Value: AnyObject & Sendable>(_ make: (FileDescriptor) -> Value) -> Value {
        let model = model.load() ?? model.storeIfNil(Model(make(self)))
        return unsafeDowncast(model.value, to: Value.self)
    }

    private final class Model: Sendable {
        let value: any AnyObject & Sendable
        init(_ value: any AnyObject & Sendable) { self.value = value }
    }
}
