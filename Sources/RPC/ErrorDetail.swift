public import FletchWire

/// A message that says more of an error, for programs to read: an entry of `google.rpc.Status`, for example a
/// `google.rpc.BadRequest`. See ``RPCError/details``.
public struct ErrorDetail: Sendable, Hashable {
    private static let authority = "type.googleapis.com/"

    /// The type of the message, for example `type.googleapis.com/google.rpc.BadRequest`.
    public let typeURL: String
    /// The encoded message.
    public let value: [UInt8]

    /// A detail as it came from a server.
    package init(typeURL: String, value: [UInt8]) {
        self.typeURL = typeURL
        self.value = value
    }

    init(type: String, value: [UInt8]) { self.init(typeURL: Self.authority + type, value: value) }

    /// A detail that holds `message`.
    public init<Detail: Message>(_ message: Detail) {
        self.init(type: Detail.descriptor.name, value: message.encoded())
    }

    /// The message; nil where the detail is of another type.
    ///
    /// - Throws: Where the bytes are not a message of the type.
    public func decode<Detail: Message>(_ type: Detail.Type) throws(WireError) -> Detail? {
        guard typeURL == Self.authority + Detail.descriptor.name else { return nil }
        return try Detail(decoding: value)
    }
}
