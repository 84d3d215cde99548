internal import FletchCompression
internal import FletchHTTP2
public import FletchWire

/// One call as an asynchronous handler sees it.
///
/// Handlers run on the call's loop, where everything here is touched; from a task that runs elsewhere (a detached one,
/// an actor) reading and writing messages goes through the loop, and the rest throws. `compressesResponse` and
/// `requestIsCompressed` cannot: they are for the handler's own task alone.
///
/// What a handler waits for ends with an error as soon as the call is over for its caller: cancelled, late, or cut off.
/// Its task is cancelled then, too.
public final class AsyncCall: @unchecked Sendable {
    /// When the caller stops waiting, in nanoseconds of the monotonic clock; `UInt64.max`: never.
    public let deadline: UInt64

    let dispatcher: Dispatcher
    private let connection: ServerConnection
    /// nil once the stream is closed.
    private var stream: UnsafeMutablePointer<FletchHTTP2.Stream>?
    /// A copy of the request's header fields: a handler may outlive its stream.
    private let log: UnsafeMutableRawBufferPointer
    private let maxRequestBytes: Int
    private let method: Int?
    /// Bytes of the budget that the handler takes by running, whatever it does.
    private var heldBytes: Int
    private(set) var traffic: CallTraffic
    /// What compressed messages of the request are compressed with, and those of the response.
    private let requestEncoding: CompressionAlgorithm?
    private var responseEncoding: CompressionAlgorithm?
    /// Whether the request, or the message that was read last from a stream, came compressed.
    public private(set) var requestIsCompressed = false
    /// Whether responses are compressed, for callers that take it; nil: the server's settings decide.
    ///
    /// To be set before the first response, whose header fields say how later ones may be compressed.
    public var compressesResponse: Bool?
    private var task: Task<Void, Never>?

    /// The message of a request that is no stream.
    private var message: MessageBuffer?
    private var requests = RequestFraming()
    /// Bytes that arrived and were not given back to the peer's window.
    private var heldWindow = 0
    private var requestEnded: Bool
    private var reader: UnsafeContinuation<Void, Never>?

    private var responses = ByteQueue()
    private var writers: [UnsafeContinuation<Void, Never>] = []
    private var responseBegan = false
    private var initialMetadata: [MetadataField] = []
    private var trailingMetadata: [MetadataField] = []

    /// Why the call is over, for its handler; set once.
    private var end: RPCError?
    private var arenaInUse: Arena?

    init(
        on stream: UnsafeMutablePointer<FletchHTTP2.Stream>, of connection: ServerConnection, dispatcher: Dispatcher,
        call: borrowing ServerCall, message: consuming MessageBuffer?, heldBytes: Int
    ) {
        self.stream = stream
        self.connection = connection
        self.dispatcher = dispatcher
        self.message = message
        deadline = call.deadline
        maxRequestBytes = call.maxRequestBytes
        method = call.method
        self.heldBytes = heldBytes
        traffic = call.traffic
        requestEncoding = call.encoding
        requestEnded = stream.pointee.requestEnded
        let fields = stream.pointee.fields.bytes
        log = .allocate(byteCount: fields.count, alignment: 8)
        log.copyMemory(from: fields)
    }

    deinit {
        log.deallocate()
        message?.destroy()
        arenaInUse?.destroy()
    }

    /// The metadata that came with the request; valid as long as the call.
    public var metadata: Metadata { Metadata(fields: HeaderFields(bytes: UnsafeRawBufferPointer(log))) }

    /// Who calls: its address, and its identity where it has shown a certificate.
    public var peer: Peer { connection.peer }

    // MARK: The handler's task

    func start(_ handler: @escaping @Sendable (AsyncCall) async throws -> Void) {
        dispatcher.handlerStarted()
        connection.runningHandlers &+= 1
        let readyAt = dispatcher.clock()
        task = Task(executorPreference: dispatcher.executor) { [self] in
            var failure: (any Error)?
            do {
                try checkDelay(since: readyAt)
                try await handler(self)
            } catch {
                failure = error
            }
            handlerEnded(failure)
        }
    }

    /// Sheds a call whose handler did not get its turn in time.
    private func checkDelay(since readyAt: UInt64) throws(RPCError) {
        guard dispatcher.clock() &- readyAt <= dispatcher.limits.maxQueueingDelay else {
            throw Rejection.queuedTooLong.error
        }
    }

    /// Takes what an inline handler has set before it left the answer to this call's handler.
    func takeOver(_ storage: UnsafeMutablePointer<UnaryCallStorage>) {
        swap(&initialMetadata, &storage.pointee.initialMetadata)
        swap(&trailingMetadata, &storage.pointee.trailingMetadata)
        compressesResponse = storage.pointee.compressesResponse
    }

    private func handlerEnded(_ failure: (any Error)?) {
        // Where the loop has ended, the call's stream has, too, and nobody counts any more.
        guard dispatcher.executor.isCurrent else { return }
        let outcome = failure.map { dispatcher.outcome(of: $0, method: method) }
        dispatcher.handlerEnded()
        connection.runningHandlers &-= 1
        task = nil
        message?.clear(budget: &connection.budget)
        connection.budget.give(heldBytes)
        if let arena = arenaInUse { dispatcher.arenas.put(arena) }
        arenaInUse = nil
        guard end == nil, let stream else { return }
        end = .over
        connection.end(stream, self, outcome, initialMetadata: initialMetadata, trailingMetadata: trailingMetadata)
    }

    private func checkLoop() throws(RPCError) {
        guard dispatcher.executor.isCurrent else {
            throw RPCError(.internal, "the handler used its call from a task that does not run on the call's loop")
        }
    }

    // MARK: Requests

    /// Memory for the call's messages, kept until the handler returns; for handlers over views and builders.
    public func arena() throws(RPCError) -> Arena {
        try checkLoop()
        if let arenaInUse { return arenaInUse }
        guard connection.budget.take(ArenaPool.capacity) else { throw Rejection.overloaded.error }
        heldBytes &+= ArenaPool.capacity
        let arena = dispatcher.arenas.take()
        arenaInUse = arena
        return arena
    }

    /// The one request of a call that is no stream, decoded into the call's arena.
    public func decode<View: MessageView>(_ type: View.Type, limits: DecodeLimits) throws(RPCError) -> View {
        let arena = try arena()
        let bytes = try requestBytes()
        do throws(WireError) {
            return try View(decoding: bytes, in: arena, limits: limits)
        } catch {
            throw RPCError(decoding: error)
        }
    }

    /// The one request of a call that is no stream.
    func request<Request: Message>(limits: DecodeLimits) throws(RPCError) -> Request {
        try checkLoop()
        return try decodeValue(requestBytes(), limits: limits)
    }

    private func requestBytes() throws(RPCError) -> UnsafeRawBufferPointer {
        guard let bytes = try? message?.message() else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return try decompressed(bytes)
    }

    /// A message as it is to be decoded, valid until another is decompressed.
    private func decompressed(_ bytes: UnsafeRawBufferPointer) throws(RPCError) -> UnsafeRawBufferPointer {
        requestIsCompressed = MessagePrefix.isCompressed(bytes)
        guard requestIsCompressed, let requestEncoding else { return bytes }
        do throws(Rejection) {
            return try dispatcher.coding.decompress(bytes, requestEncoding, limit: maxRequestBytes)
        } catch {
            throw error.error
        }
    }

    private func decodeValue<Value: Message>(
        _ bytes: UnsafeRawBufferPointer, limits: DecodeLimits
    ) throws(RPCError) -> Value {
        // No handler is in the middle of a message while a task of the same loop runs.
        defer { dispatcher.arena.reset() }
        do throws(WireError) {
            return Value(try Value.View(decoding: bytes, in: dispatcher.arena, limits: limits))
        } catch {
            throw RPCError(decoding: error)
        }
    }

    /// The next message of a streamed request; nil after the last.
    func next<Request: Message>(limits: DecodeLimits) async throws(RPCError) -> Request? {
        guard dispatcher.executor.isCurrent else {
            return try await withTaskExecutorPreference(dispatcher.executor) { () async throws(RPCError) in
                try await nextOnLoop(limits: limits)
            }
        }
        return try await nextOnLoop(limits: limits)
    }

    private func nextOnLoop<Request: Message>(limits: DecodeLimits) async throws(RPCError) -> Request? {
        while true {
            try checkUnderWay()
            if requests.hasMessage {
                connection.messagesReceived &+= 1
                defer { dropRequest() }
                traffic.addRequest(requests.first.count)
                return try decodeValue(decompressed(requests.first), limits: limits)
            }
            if requestEnded { return nil }
            guard reader == nil else { throw RPCError(.internal, "two tasks read the requests of one call") }
            await wait { reader = $0 }
        }
    }

    /// Forgets the request that was taken. What is there of the next one counts as taken, too: it could be larger than
    /// the peer's window.
    private func dropRequest() {
        let byteCount = requests.dropFirst(budget: &connection.budget)
        giveWindowBack(requests.hasMessage ? byteCount : heldWindow)
    }

    /// Lets the peer send as much as was taken.
    private func giveWindowBack(_ byteCount: Int) {
        let returned = min(byteCount, heldWindow)
        guard returned > 0, let stream else { return }
        heldWindow &-= returned
        connection.http2.consume(returned, on: stream)
        connection.noteOutput()
    }

    // MARK: Responses

    /// Adds a message to the response without waiting for the peer to take it.
    func send<Response: Message>(_ message: Response, compressed: Bool? = nil) throws(RPCError) {
        try checkUnderWay()
        defer { dispatcher.arena.reset() }
        let builder = Response.Builder(in: dispatcher.arena)
        message.copy(into: builder)
        try append(builder, in: dispatcher.arena, compressed: compressed)
    }

    /// Answers with a message that was built in the call's arena.
    public func respond<Builder: MessageBuilder>(_ message: Builder) throws(RPCError) {
        try checkUnderWay()
        try append(message, in: message._arena, compressed: nil)
    }

    /// Adds a message to the response and waits while too much of it has not been taken by the peer.
    func write<Response: Message>(_ message: Response, compressed: Bool?) async throws(RPCError) {
        guard dispatcher.executor.isCurrent else {
            return try await withTaskExecutorPreference(dispatcher.executor) { () async throws(RPCError) in
                try await writeOnLoop(message, compressed: compressed)
            }
        }
        try await writeOnLoop(message, compressed: compressed)
    }

    private func writeOnLoop<Response: Message>(_ message: Response, compressed: Bool?) async throws(RPCError) {
        try send(message, compressed: compressed)
        while unsentBytes > dispatcher.limits.maxQueuedResponseBytes {
            await wait { writers.append($0) }
            try checkUnderWay()
        }
    }

    private var unsentBytes: Int { responses.count &- (stream?.pointee.bodyOffset ?? 0) }

    /// Sends the initial metadata, if that has not happened.
    func beginResponse() throws(RPCError) {
        try checkUnderWay()
        guard !responseBegan, let stream else { return }
        responseBegan = true
        connection.begin(stream, encoding: responseEncoding, initialMetadata: initialMetadata)
    }

    private func append(_ message: some MessageBuilder, in arena: Arena, compressed: Bool?) throws(RPCError) {
        guard let bytes = message.encodedInArena(headroom: MessagePrefix.byteCount), !arena.isExhausted,
            let framed = framed(bytes, compressed: compressed ?? compressesResponse)
        else {
            throw RPCError(.resourceExhausted, "the response takes more memory than a call may have; ask for less")
        }
        guard let stream else { return }
        responses.drop(stream.pointee.bodyOffset, budget: &connection.budget)
        let isKept = responses.append(framed, budget: &connection.budget)
        connection.messagesSent &+= 1
        try beginResponse()
        connection.http2.setBody(of: stream, responses.bytes)
        connection.noteOutput()
        guard isKept else { throw dispatcher.shedding(framed.count).error }
        traffic.addResponse(framed.count &- MessagePrefix.byteCount)
    }

    /// A response with its prefix; compressed where it is to be, and the caller takes it.
    private func framed(_ message: UnsafeMutableRawBufferPointer, compressed: Bool?) -> UnsafeRawBufferPointer? {
        let coding = dispatcher.coding
        if !responseBegan, compressed != nil || coding.compressesUnasked {
            responseEncoding = coding.encoding(for: metadata.fields)
        }
        if let responseEncoding, coding.compresses(byteCount: message.count, choice: compressed),
            let packed = coding.compress(message, responseEncoding)
        {
            return packed
        }
        return MessagePrefix.write(before: message)
    }

    // MARK: Metadata

    /// Sends `value` as metadata before the first response. Rules as for ``UnaryCall/addInitialMetadata(_:_:)``.
    public func addInitialMetadata(_ name: String, _ value: String) throws(RPCError) {
        try checkLoop()
        guard !responseBegan else {
            throw RPCError(.internal, "initial metadata '\(name)' was added after the first response")
        }
        initialMetadata.append(try MetadataField(checking: name, value))
    }

    /// Sends `value` as metadata after the last response. Rules as for ``UnaryCall/addInitialMetadata(_:_:)``.
    public func addTrailingMetadata(_ name: String, _ value: String) throws(RPCError) {
        try checkLoop()
        trailingMetadata.append(try MetadataField(checking: name, value))
    }

    /// Sends bytes as metadata after the last response; `name` ends in `-bin`.
    public func addTrailingMetadata(_ name: String, bytes: [UInt8]) throws(RPCError) {
        try checkLoop()
        trailingMetadata.append(try MetadataField(checking: name, bytes: bytes))
    }

    // MARK: Waiting

    private func checkUnderWay() throws(RPCError) {
        try checkLoop()
        if let end { throw end }
        if Task.isCancelled { throw RPCError(.cancelled, "the handler's task was cancelled") }
    }

    /// Waits until the connection has news for the call, or the task is cancelled.
    private func wait(_ store: (UnsafeContinuation<Void, Never>) -> Void) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { store($0) }
        } onCancel: {
            Task(executorPreference: dispatcher.executor) { [self] in
                if dispatcher.executor.isCurrent { wakeAll() }
            }
        }
    }

    private func wakeReader() {
        let waiting = reader
        reader = nil
        waiting?.resume()
    }

    private func wakeWriters() {
        let waiting = writers
        writers = []
        for writer in waiting { writer.resume() }
    }

    private func wakeAll() {
        wakeReader()
        wakeWriters()
    }
}

// What the connection tells its call. On the loop.

extension AsyncCall {
    /// Bytes of a streamed request.
    func received(_ bytes: UnsafeRawBufferPointer) throws(Rejection) {
        guard end == nil else { return }
        try requests.append(
            bytes, limit: maxRequestBytes, isEncoded: requestEncoding != nil,
            budget: &connection.budget)
        heldWindow &+= bytes.count
        if requests.hasMessage { wakeReader() } else { giveWindowBack(heldWindow) }
    }

    /// The end of a streamed request.
    func receivedEnd() throws(Rejection) {
        guard end == nil else { return }
        guard !requests.endsInsideMessage else { throw .truncatedMessage }
        requestEnded = true
        wakeReader()
    }

    /// The peer has taken a part of the responses.
    func sentResponses() {
        guard let stream else { return }
        if unsentBytes == 0 {
            responses.drop(responses.count, budget: &connection.budget)
            connection.http2.setBody(of: stream, responses.bytes)
        }
        if unsentBytes <= dispatcher.limits.maxQueuedResponseBytes / 2 { wakeWriters() }
    }

    /// The call ends with `error` whatever its handler does; responses that were not sent are dropped, but for what a
    /// frame that has begun takes of them.
    func fail(_ error: RPCError, httpStatus: Int, resetCode: UInt32, extraField: FieldBlock.Field?) {
        guard end == nil, let stream else { return }
        cancelHandler(error)
        if responseBegan {
            responses.drop(stream.pointee.bodyOffset, budget: &connection.budget)
            responses.keep(stream.pointee.begunBytes, budget: &connection.budget)
            connection.http2.setBody(of: stream, responses.bytes)
        }
        connection.end(stream, self, error, httpStatus: httpStatus, resetCode: resetCode, extraField: extraField)
    }

    /// The stream is over.
    func closed() {
        stream = nil
        if end == nil { cancelHandler(RPCError(.cancelled, "the caller cancelled the call or is gone")) }
        requests.destroy(budget: &connection.budget)
        responses.destroy(budget: &connection.budget)
    }

    /// Whether the response's header fields were sent.
    var hasBegunResponse: Bool { responseBegan }

    private func cancelHandler(_ error: RPCError) {
        end = error
        task?.cancel()
        wakeAll()
    }
}

extension RPCError {
    /// For a handler that goes on after it has returned: its call is over.
    fileprivate static let over = RPCError(.internal, "the call is over: its handler has returned")

    /// The status of what a handler throws. The text of errors that are not meant for callers stays here.
    init(thrown error: any Error) {
        switch error {
        case let error as RPCError where error.code == .ok: self.init(.unknown, error.message, details: error.details)
        case let error as RPCError: self = error
        case is CancellationError: self.init(.cancelled, "the handler's task was cancelled")
        default: self.init(.unknown, "the handler failed")
        }
    }
}
