public import FletchWire

/// The requests of a streaming call, in the order they came: for one reader, once.
///
/// The peer may send on as messages are taken: what waits is bounded by `Limits.streamWindowBytes`.
public struct RequestStream<Request: Message>: AsyncSequence, Sendable {
    public typealias Element = Request
    public typealias Failure = RPCError

    fileprivate typealias Next = nonisolated(nonsending) () async throws(RPCError) -> Request?

    private enum Source {
        case call(AsyncCall, DecodeLimits)
        case other(@Sendable () -> Next)
    }

    private let source: Source

    init(_ call: AsyncCall, limits: DecodeLimits) { source = .call(call, limits) }

    /// Requests that come from elsewhere than a call, as a test of a handler has them.
    ///
    /// An error of `requests` is thrown as the one that a caller would see of a handler that throws it.
    public init<Requests: AsyncSequence & Sendable>(_ requests: Requests) where Requests.Element == Request {
        source = .other {
            var iterator = requests.makeAsyncIterator()
            return { () async throws(RPCError) in
                do {
                    return try await iterator.next(isolation: #isolation)
                } catch {
                    throw RPCError(thrown: error)
                }
            }
        }
    }

    /// The requests as messages of another type, for an adapter that hands a call of one version of a schema to the
    /// implementation of another. Each is transformed when it is read.
    ///
    /// - Parameter transform: What it throws is thrown to the reader.
    public func map<Transformed: Message>(
        _ transform: @escaping @Sendable (Request) throws(RPCError) -> Transformed
    ) -> RequestStream<Transformed> {
        RequestStream<Transformed>(
            source: .other {
                var iterator = makeAsyncIterator()
                return { () async throws(RPCError) in
                    guard let request = try await iterator.next(isolation: #isolation) else { return nil }
                    return try transform(request)
                }
            })
    }

    private init(source: Source) { self.source = source }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate enum Source {
            case call(AsyncCall, DecodeLimits)
            case other(Next)
        }

        fileprivate let source: Source

        /// The next message; nil after the last. Waits for it.
        ///
        /// - Throws: `cancelled`, `deadlineExceeded` or what else ended the call; `internal` where the bytes are not a
        ///   message of the type.
        public mutating func next() async throws(RPCError) -> Request? { try await next(isolation: nil) }

        public mutating func next(isolation: isolated (any Actor)?) async throws(RPCError) -> Request? {
            switch source {
            case .call(let call, let limits): try await call.next(limits: limits)
            case .other(let next): try await next()
            }
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        switch source {
        case .call(let call, let limits): AsyncIterator(source: .call(call, limits))
        case .other(let makeNext): AsyncIterator(source: .other(makeNext()))
        }
    }
}

/// Sends the responses of a streaming call.
public struct ResponseWriter<Response: Message>: Sendable {
    private typealias Write = @Sendable (_ message: Response, _ compressed: Bool?) async throws(RPCError) -> Void

    private enum Destination {
        case call(AsyncCall)
        case other(Write)
    }

    private let destination: Destination

    init(_ call: AsyncCall) { destination = .call(call) }

    /// A writer to elsewhere than a call, as a test of a handler has it.
    ///
    /// - Parameter write: Takes each response; the handler goes on once it returns.
    public init(_ write: @escaping @Sendable (Response) async throws(RPCError) -> Void) {
        destination = .other { (message, _) async throws(RPCError) in try await write(message) }
    }

    /// A writer of messages of another type, which are sent as `transform` makes them messages of this one: for an
    /// adapter that hands a call of one version of a schema to the implementation of another. Waits as this one does.
    ///
    /// - Parameter transform: What it throws is thrown to who writes.
    public func map<Transformed: Message>(
        _ transform: @escaping @Sendable (Transformed) throws(RPCError) -> Response
    ) -> ResponseWriter<Transformed> {
        ResponseWriter<Transformed>(
            destination: .other { (message, compressed) async throws(RPCError) in
                try await write(transform(message), compressed: compressed)
            })
    }

    private init(destination: Destination) { self.destination = destination }

    /// Sends a message. Waits while more than `CallLimits.maxQueuedResponseBytes` have not been taken by the peer.
    ///
    /// - Parameter compressed: Whether the message is to be compressed, where the caller takes that; nil: as
    ///   ``AsyncCall/compressesResponse`` says. A stream whose first message says nothing of it, by the parameter, by
    ///   the call or by the server's settings, is sent without compression.
    /// - Throws: `cancelled`, `deadlineExceeded` or what else ended the call; `resourceExhausted` where the message or
    ///   the loop's bytes in flight are too large.
    public func write(_ message: Response, compressed: Bool? = nil) async throws(RPCError) {
        switch destination {
        case .call(let call): try await call.write(message, compressed: compressed)
        case .other(let write): try await write(message, compressed)
        }
    }
}
