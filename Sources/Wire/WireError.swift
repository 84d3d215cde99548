/// Why bytes could not be decoded.
public struct WireError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of refusal, for code that must tell them apart.
    public enum Code: Sendable, Hashable {
        /// The bytes are not an encoded message of the type.
        case malformed
        /// A `string` field holds bytes that are not UTF-8.
        case invalidUTF8
        /// Messages are nested deeper than ``DecodeLimits/depth``.
        case tooDeep
        /// The decoded message would take more than ``DecodeLimits/memory`` or the arena's limit.
        case tooLarge
    }

    /// The kind of refusal.
    public var code: Code
    /// What is wrong, naming the message type and, where there is one, the field.
    public var message: String

    /// Makes an error; `message` names the type and field.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}

/// What a decode may take. protobuf-c itself knows no limits.
public struct DecodeLimits: Sendable {
    /// How many messages may be nested within the outermost one. 100 is what other protobuf libraries allow.
    public var depth: Int
    /// Bytes of memory that the decoded message may take. Messages full of empty submessages grow 50-fold.
    public var memory: Int

    /// The limits; by default those that suit a server's requests.
    @inlinable
    public init(depth: Int = 100, memory: Int = 64 << 20) {
        self.depth = depth
        self.memory = memory
    }
}
