internal import FletchHTTP2

/// What the server keeps for a call and the handler reads or sets through ``UnaryCall``.
public struct UnaryCallStorage {
    /// When the caller stops waiting, in nanoseconds of the monotonic clock; `UInt64.max` where it set no deadline.
    public var deadline: UInt64 = .max
    /// The encoded response, set by the handler: message bytes that follow a five-byte gap for the length prefix.
    public var response: UnsafeMutableRawBufferPointer?

    /// Who calls; not retained: the connection outlives its calls.
    var peer: Unmanaged<Peer>?
    /// Whether the request came compressed.
    var requestIsCompressed = false
    /// Whether the response is to be compressed; nil: the server's settings decide.
    var compressesResponse: Bool?

    var metadata = Metadata(fields: HeaderFields.empty)
    var initialMetadata: [MetadataField] = []
    var trailingMetadata: [MetadataField] = []
    /// What answers the call instead, as a task, where the handler said so.
    var later: (@Sendable (AsyncCall) async throws -> Void)?

    public init() {}
}
