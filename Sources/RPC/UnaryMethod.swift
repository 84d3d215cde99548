public import Wire

/// One unary method of a service, as the server dispatches it.
///
/// Generated code makes these from a service's implementation; they live on one event loop and need not be Sendable.
public struct UnaryMethod {
    /// The request path, for example `/fletch.v1.RelatedProducts/Related`.
    public let path: String
    /// The largest request message accepted, in bytes before decoding; nil: the server's default.
    public let maxRequestBytes: Int?
    /// Decodes the request, runs the handler and responds, all before it returns (on the loop's thread).
    public let invoke: (UnaryCall) throws(RPCError) -> Void

    public init(path: String, maxRequestBytes: Int? = nil, invoke: @escaping (UnaryCall) throws(RPCError) -> Void) {
        self.path = path
        self.maxRequestBytes = maxRequestBytes
        self.invoke = invoke
    }
}

/// One unary call as a handler sees it: valid until the handler returns, never kept beyond that.
public struct UnaryCall {
    /// The request message's bytes, contiguous, without the length prefix.
    public let request: UnsafeRawBufferPointer
    /// Memory for the call's messages; released when the answer was encoded.
    public let arena: Arena
    @usableFromInline let storage: UnsafeMutablePointer<UnaryCallStorage>

    @inlinable
    public init(request: UnsafeRawBufferPointer, arena: Arena, storage: UnsafeMutablePointer<UnaryCallStorage>) {
        self.request = request
        self.arena = arena
        self.storage = storage
    }
}
