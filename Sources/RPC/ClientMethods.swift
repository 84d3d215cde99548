public import FletchWire

// The four kinds of calls over messages: what generated clients are made of.

extension ClientChannel {
    /// One request, one response.
    public func unary<Request: Message, Response: Message>(
        _ path: String, _ request: Request, _ options: CallOptions
    ) async throws(RPCError) -> Response {
        try await begin(
            CallRequest(path: path, message: request.encoded(), hasSingleResponse: true, options: options)
        ).onlyResponse()
    }

    /// One request, any number of responses. The call is cancelled when nobody refers to the stream any more.
    public func serverStreaming<Request: Message, Response: Message>(
        _ path: String, _ request: Request, _ options: CallOptions
    ) throws(RPCError) -> ResponseStream<Response> {
        ResponseStream(
            try begin(CallRequest(path: path, message: request.encoded(), hasSingleResponse: false, options: options)))
    }

    /// Any number of requests, which `write` sends, and then one response. The call is cancelled where `write` throws.
    nonisolated(nonsending)
        public func clientStreaming<Request: Message, Response: Message>(
            _ path: String, _ options: CallOptions, _ write: (RequestWriter<Request>) async throws -> Void
        ) async throws -> Response
    {
        let call = try begin(CallRequest(path: path, message: nil, hasSingleResponse: true, options: options))
        return try await withTaskCancellationHandler {
            do {
                try await write(RequestWriter(call))
            } catch let error as RPCError where error == .requestsNotWanted {
                // The server has answered before it had them all, as it may.
            } catch {
                call.cancel()
                throw error
            }
            call.finishRequests()
            return try await call.onlyResponse()
        } onCancel: {
            call.cancel()
        }
    }

    /// Any number of requests and responses, in any order. The call ends with `body`; where the server's status is to be
    /// seen, `body` reads to the end.
    nonisolated(nonsending)
        public func bidirectional<Request: Message, Response: Message, BodyResult>(
            _ path: String, _ options: CallOptions,
            _ body: (RequestWriter<Request>, ResponseStream<Response>) async throws -> BodyResult
        ) async throws -> BodyResult
    {
        let call = try begin(CallRequest(path: path, message: nil, hasSingleResponse: false, options: options))
        return try await withTaskCancellationHandler {
            defer { call.cancel() }
            return try await body(RequestWriter(call), ResponseStream(call))
        } onCancel: {
            call.cancel()
        }
    }
}

extension ClientCall {
    /// The response of a method that answers with one message.
    fileprivate func onlyResponse<Response: Message>() async throws(RPCError) -> Response {
        guard let message = try await next() else { throw .init(.internal, "the response holds no message") }
        return try decoded(message)
    }
}

/// Sends the requests of a streaming call. Several tasks may write, each message as a whole.
public struct RequestWriter<Request: Message>: Sendable {
    private let call: any ClientCall

    init(_ call: any ClientCall) { self.call = call }

    /// Sends a message; waits while the server does not take what was sent before.
    ///
    /// - Parameter compressed: Whether it is compressed by ``CallOptions/compression``; nil: where that is set.
    /// - Throws: What ended the call; ``RPCError/requestsNotWanted`` where the server has answered.
    public func write(_ message: Request, compressed: Bool? = nil) async throws(RPCError) {
        try await call.write(message.encoded(), compressed: compressed)
    }

    /// Says that no further requests follow. Where a call has one response this happens by itself.
    public func finish() { call.finishRequests() }
}

/// The responses of a streaming call, in the order they came: for one reader, once.
///
/// The server may send on as messages are taken, so that what waits here is bounded.
public struct ResponseStream<Response: Message>: AsyncSequence, Sendable {
    public typealias Element = Response
    public typealias Failure = RPCError

    private let call: any ClientCall

    init(_ call: any ClientCall) { self.call = call }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let call: any ClientCall

        /// The next message; nil after the last, where the status is OK. Waits for it.
        ///
        /// - Throws: The server's status where it is not OK, or what else ended the call.
        public mutating func next() async throws(RPCError) -> Response? { try await call.nextDecoded() }

        public mutating func next(isolation: isolated (any Actor)?) async throws(RPCError) -> Response? {
            try await call.nextDecoded()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(call: call) }

    /// What came before the first message; waits for it.
    public var initialMetadata: MetadataList {
        get async throws(RPCError) { try await call.initialMetadata() }
    }

    /// What came with the status; nil while the call is under way, or where it ended without one.
    public var trailingMetadata: MetadataList? { call.trailingMetadata }

    /// Ends the call, where it is not over.
    public func cancel() { call.cancel() }
}

extension ClientCall {
    fileprivate func nextDecoded<Response: Message>() async throws(RPCError) -> Response? {
        guard let message = try await next() else { return nil }
        return try decoded(message) as Response
    }

    /// A response that was received; one that is not a message of its type ends the call.
    fileprivate func decoded<Response: Message>(_ message: [UInt8]) throws(RPCError) -> Response {
        do throws(WireError) {
            return try Response(decoding: message)
        } catch {
            cancel()
            throw RPCError(decoding: error)
        }
    }
}

extension RPCError {
    /// What writing a request throws once the server has answered with OK: it reads no further requests.
    public static let requestsNotWanted = RPCError(.cancelled, "the server has answered and takes no further requests")
}
