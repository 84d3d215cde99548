public import FletchWire

/// The requests of a streaming call, in the order they came: for one reader, once.
///
/// The peer may send on as messages are taken: what waits is bounded by `Limits.streamWindowBytes`.
public struct RequestStream<Request: Message>: AsyncSequence, Sendable {
    public typealias Element = Request
    public typealias Failure = RPCError

    private let call: AsyncCall
    private let limits: DecodeLimits

    init(_ call: AsyncCall, limits: DecodeLimits) {
        self.call = call
        self.limits = limits
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let call: AsyncCall
        fileprivate let limits: DecodeLimits

        /// The next message; nil after the last. Waits for it.
        ///
        /// - Throws: `cancelled`, `deadlineExceeded` or what else ended the call; `internal` where the bytes are not a
        ///   message of the type.
        public mutating func next() async throws(RPCError) -> Request? { try await call.next(limits: limits) }

        public mutating func next(isolation: isolated (any Actor)?) async throws(RPCError) -> Request? {
            try await call.next(limits: limits)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: call, limits: limits) }
}

/// Sends the responses of a streaming call.
public struct ResponseWriter<Response: Message>: Sendable {
    private let call: AsyncCall

    init(_ call: AsyncCall) { self.call = call }

    /// Sends a message. Waits while more than `CallLimits.maxQueuedResponseBytes` have not been taken by the peer.
    ///
    /// - Parameter compressed: Whether the message is to be compressed, where the caller takes that; nil: as
    ///   ``AsyncCall/compressesResponse`` says. A stream whose first message says nothing of it, by the parameter, by
    ///   the call or by the server's settings, is sent without compression.
    /// - Throws: `cancelled`, `deadlineExceeded` or what else ended the call; `resourceExhausted` where the message or
    ///   the loop's bytes in flight are too large.
    public func write(_ message: Response, compressed: Bool? = nil) async throws(RPCError) {
        try await call.write(message, compressed: compressed)
    }
}
