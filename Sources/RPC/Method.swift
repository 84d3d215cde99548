public import FletchWire

/// One method of a service, as the server dispatches it.
///
/// Generated code makes these from a service's implementation; they live on one event loop and need not be Sendable.
public struct Method {
    /// Who carries the method out.
    public enum Handler {
        /// Decodes the request, works and responds, all before it returns, on the loop's thread: for short work.
        case inline((UnaryCall) throws(RPCError) -> Void)
        /// Works as a task on the loop's thread, and may wait. With `requestStream` it begins with the header fields
        /// and the request may hold any number of messages; else it begins once the one message is there.
        case task(requestStream: Bool, @Sendable (AsyncCall) async throws -> Void)
    }

    /// The request path, for example `/fletch.v1.RelatedProducts/Related`.
    public let path: String
    /// The service that the method belongs to, for reflection; nil where there is no schema of it.
    public let service: ServiceDescriptor?
    /// The largest request message accepted, in bytes before decoding; nil: the server's default.
    public let maxRequestBytes: Int?
    public let handler: Handler

    public init(path: String, service: ServiceDescriptor? = nil, maxRequestBytes: Int? = nil, handler: Handler) {
        self.path = path
        self.service = service
        self.maxRequestBytes = maxRequestBytes
        self.handler = handler
    }

    /// A method whose handler runs to completion on the loop.
    public init(
        path: String, service: ServiceDescriptor? = nil, maxRequestBytes: Int? = nil,
        inline: @escaping (UnaryCall) throws(RPCError) -> Void
    ) {
        self.init(path: path, service: service, maxRequestBytes: maxRequestBytes, handler: .inline(inline))
    }
}

// The four kinds of calls over plain values.

extension Method {
    /// One request, one response.
    public init<Request: Message, Response: Message>(
        path: String, service: ServiceDescriptor? = nil, maxRequestBytes: Int? = nil,
        limits: DecodeLimits = DecodeLimits(),
        unary: @escaping @Sendable (Request, AsyncCall) async throws -> Response
    ) {
        self.init(
            path: path, service: service, maxRequestBytes: maxRequestBytes,
            handler: .task(requestStream: false) { call in
                try call.send(await unary(try call.request(limits: limits), call))
            })
    }

    /// One request, any number of responses.
    public init<Request: Message, Response: Message>(
        path: String, service: ServiceDescriptor? = nil, maxRequestBytes: Int? = nil,
        limits: DecodeLimits = DecodeLimits(),
        serverStreaming: @escaping @Sendable (Request, ResponseWriter<Response>, AsyncCall) async throws -> Void
    ) {
        self.init(
            path: path, service: service, maxRequestBytes: maxRequestBytes,
            handler: .task(requestStream: false) { call in
                try await serverStreaming(try call.request(limits: limits), ResponseWriter(call), call)
                try call.beginResponse()
            })
    }

    /// Any number of requests, one response.
    public init<Request: Message, Response: Message>(
        path: String, service: ServiceDescriptor? = nil, maxRequestBytes: Int? = nil,
        limits: DecodeLimits = DecodeLimits(),
        clientStreaming: @escaping @Sendable (RequestStream<Request>, AsyncCall) async throws -> Response
    ) {
        self.init(
            path: path, service: service, maxRequestBytes: maxRequestBytes,
            handler: .task(requestStream: true) { call in
                try call.send(await clientStreaming(RequestStream(call, limits: limits), call))
            })
    }

    /// Any number of requests and of responses, in any order.
    public init<Request: Message, Response: Message>(
        path: String, service: ServiceDescriptor? = nil, maxRequestBytes: Int? = nil,
        limits: DecodeLimits = DecodeLimits(),
        bidirectional:
            @escaping @Sendable (RequestStream<Request>, ResponseWriter<Response>, AsyncCall) async throws
            -> Void
    ) {
        self.init(
            path: path, service: service, maxRequestBytes: maxRequestBytes,
            handler: .task(requestStream: true) { call in
                try await bidirectional(RequestStream(call, limits: limits), ResponseWriter(call), call)
                try call.beginResponse()
            })
    }
}
