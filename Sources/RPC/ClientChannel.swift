public import FletchCompression

/// What a generated client needs from a transport: calls of encoded messages. `FletchClient.Channel` is one over HTTP/2.
public protocol ClientChannel: Sendable {
    /// Begins a call; nothing waits here.
    ///
    /// - Throws: `invalidArgument` where `request` cannot be sent. All else that goes wrong is said by the call.
    func begin(_ request: CallRequest) throws(RPCError) -> any ClientCall
}

/// What a call asks for.
public struct CallRequest: Sendable {
    /// The method's path, for example `/fletch.v1.RelatedProducts/Related`.
    public var path: String
    /// The only request message, encoded; nil: requests follow by ``ClientCall/write(_:compressed:)``.
    public var message: [UInt8]?
    /// Whether the method answers with exactly one message.
    public var hasSingleResponse: Bool
    public var options: CallOptions

    public init(path: String, message: [UInt8]?, hasSingleResponse: Bool, options: CallOptions) {
        self.path = path
        self.message = message
        self.hasSingleResponse = hasSingleResponse
        self.options = options
    }
}

/// A call under way, of encoded messages. It is cancelled when nobody refers to it any more, and when a task that waits
/// for it is cancelled.
public protocol ClientCall: AnyObject, Sendable {
    /// Sends a request message; waits while the server does not take what was sent before.
    ///
    /// - Parameter compressed: Whether it is compressed by ``CallOptions/compression``; nil: where that is set.
    /// - Throws: What ended the call.
    func write(_ message: [UInt8], compressed: Bool?) async throws(RPCError)

    /// Says that no further requests follow.
    func finishRequests()

    /// The next response message; nil after the last, where the status is OK.
    ///
    /// - Throws: The server's status where it is not OK, or what else ended the call.
    func next() async throws(RPCError) -> [UInt8]?

    /// What came before the first response; waits for it.
    func initialMetadata() async throws(RPCError) -> MetadataList

    /// What came with the status; nil while the call is under way, or where it ended without one.
    var trailingMetadata: MetadataList? { get }

    /// Ends the call for both sides, where it is not over.
    func cancel()
}

/// What a caller may set on a call.
public struct CallOptions: Sendable {
    /// How long the call may take, sent to the server as grpc-timeout; nil: no deadline.
    public var timeout: Duration?
    /// Metadata sent with the request.
    public var metadata: MetadataList
    /// What requests are compressed with where that makes them smaller; nil: nothing. Responses are taken in any
    /// algorithm, whatever is set here.
    public var compression: CompressionAlgorithm?
    /// The most bytes that a response message may have, packed and unpacked; nil: as the channel says.
    public var maxResponseBytes: Int?
    /// Takes the response's metadata.
    public var received: ReceivedMetadata?

    public init(
        timeout: Duration? = nil, metadata: MetadataList = MetadataList(), compression: CompressionAlgorithm? = nil,
        maxResponseBytes: Int? = nil, received: ReceivedMetadata? = nil
    ) {
        self.timeout = timeout
        self.metadata = metadata
        self.compression = compression
        self.maxResponseBytes = maxResponseBytes
        self.received = received
    }
}
