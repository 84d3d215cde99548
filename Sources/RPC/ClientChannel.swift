/// What a generated client stub needs from a transport: one unary exchange of encoded messages.
public protocol ClientChannel {
    /// Sends one request and waits for the answer.
    ///
    /// - Parameters:
    ///   - path: The method's path, for example `/fletch.v1.RelatedProducts/Related`.
    ///   - request: The encoded request message, without a length prefix.
    ///   - options: Deadline and metadata.
    /// - Returns: The encoded response message.
    /// - Throws: The server's status where it is not OK; `unavailable` where the server cannot be reached.
    func unary(path: String, request: [UInt8], options: CallOptions) throws(RPCError) -> [UInt8]
}

/// What a caller may set on a call.
public struct CallOptions: Sendable {
    /// How long the call may take, sent to the server as grpc-timeout; nil: no deadline.
    public var timeout: Duration?
    /// Metadata sent with the request; names in lower case, values in ASCII.
    public var metadata: [(name: String, value: String)]

    public init(timeout: Duration? = nil, metadata: [(name: String, value: String)] = []) {
        self.timeout = timeout
        self.metadata = metadata
    }
}
