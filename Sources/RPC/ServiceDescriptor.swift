public import FletchWire

/// What reflection and health say of a service.
public struct ServiceDescriptor: Sendable {
    /// The full name, for example `fletch.v1.RelatedProducts`.
    public let name: String
    /// The file that declares it.
    public let file: FileDescriptor

    public init(name: String, file: FileDescriptor) {
        self.name = name
        self.file = file
    }
}
