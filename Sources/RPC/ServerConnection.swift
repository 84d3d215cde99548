internal import FletchCompression
public import FletchHTTP2
internal import FletchWire

/// gRPC on one connection without sockets: bytes in by ``receive(_:)``, calls to the dispatcher's methods, bytes out
/// by ``fill(_:)``.
public final class ServerConnection: SessionDelegate {
    let dispatcher: Dispatcher
    /// Who is at the other end.
    public let peer: Peer
    /// What a handler that runs as a task takes at least: its task, its call, a small message buffer.
    private static let handlerBytes = 4 << 10
    /// The HTTP/2 session. Its constant reference is used without being counted.
    public let http2: Session
    private var now: UInt64 = 0
    /// Since when what is received now has waited for the loop.
    private var arrivedAt: UInt64 = 0
    /// Calls whose request has not ended or whose handler runs as a task. Unchecked, as the next: one thread, no call
    /// within an access.
    @exclusivity(unchecked) private var waitingCount = 0
    /// Calls that the connection has begun so far.
    @exclusivity(unchecked) public private(set) var startedCalls: UInt64 = 0
    /// Calls that ended without an answer: the peer gave them up, or the connection was lost.
    @exclusivity(unchecked) public private(set) var unansweredCalls: UInt64 = 0
    /// When the last call began, in nanoseconds of the monotonic clock; 0 before the first.
    @exclusivity(unchecked) public private(set) var lastCallStarted: UInt64 = 0
    /// Messages that handlers took and made.
    @exclusivity(unchecked) public internal(set) var messagesReceived: UInt64 = 0
    @exclusivity(unchecked) public internal(set) var messagesSent: UInt64 = 0
    /// Handlers that run as tasks for this connection's calls, those included whose calls are over: a peer that resets
    /// its calls gets no more work out of the server than one that waits for them (CVE-2023-44487).
    var runningHandlers = 0
    /// What the connection's calls hold. Unchecked, as above.
    @exclusivity(unchecked) var budget: ConnectionBudget
    /// Told when there is something to send, outside of ``receive(_:)`` and ``expireCalls()``.
    public var onOutput: () -> Void = {}
    private var isWorking = false

    public init(dispatcher: Dispatcher, peer: Peer) throws(HTTP2Error) {
        self.dispatcher = dispatcher
        self.peer = peer
        budget = ConnectionBudget(of: dispatcher.budget)
        http2 = try Session(resources: dispatcher.resources)
        super.init()
        http2.setDelegate(self)
    }

    // MARK: Bytes

    /// Takes what arrived. Complete calls of inline methods are answered before it returns; ``fill(_:)`` has the
    /// answers.
    ///
    /// - Throws: Where the connection must be closed at once.
    public func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTP2Error) {
        arrivedAt = dispatcher.turnStart()
        now = dispatcher.clock()
        isWorking = true
        defer { isWorking = false }
        try http2.receive(bytes)
    }

    /// Appends what is to be sent to `output`; true where nothing is left to append.
    public func fill(_ output: OutputBuffer) throws(HTTP2Error) -> Bool { try http2.fill(output) }

    /// A task has given the connection something to send.
    func noteOutput() {
        if !isWorking { onOutput() }
    }

    // MARK: Life

    /// Ends the connection: calls that are not answered are forgotten, their handlers cancelled.
    public func close() { http2.close() }

    /// Calls that have begun and whose streams are not over. A stream is no call before its header fields are complete.
    @exclusivity(unchecked) public private(set) var openCallCount = 0

    /// When the first call must be answered for being late, in nanoseconds; nil where none waits.
    public var nextExpiry: UInt64? {
        guard waitingCount > 0 else { return nil }
        var first = UInt64.max
        http2.forEachOpenStream { stream in
            let call = call(of: stream)
            if call.pointee.isWaiting { first = min(first, call.pointee.expiry) }
        }
        return first == .max ? nil : first
    }

    /// Answers the calls that have waited too long.
    public func expireCalls() {
        now = dispatcher.clock()
        isWorking = true
        defer { isWorking = false }
        http2.forEachOpenStream { stream in
            if let rejection = call(of: stream).pointee.overdue(now: now) { reject(stream, rejection) }
        }
    }

    // MARK: SessionDelegate

    public override func session(receivedHeadersOn stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        dispatcher.shared.pointee.counters.callsStarted &+= 1
        startedCalls &+= 1
        openCallCount &+= 1
        lastCallStarted = now
        dispatcher.shared.pointee.counters.lastCallStarted = now
        waitingCount &+= 1
        let call = call(of: stream)
        do throws(Rejection) {
            try begin(call, on: stream)
            if case .task(requestStream: true, let handler) = handler(of: call) {
                stream.pointee.isConsumedByHand = true
                try run(handler, call, on: stream, message: nil)
            }
        } catch {
            if dispatcher.plainPage != nil, isPlain(stream, error) {
                call.pointee.bePlain(requestTimeout: dispatcher.limits.requestTimeout)
            } else {
                reject(stream, error)
            }
        }
    }

    /// Whether a request that was rejected is one for the page beside all calls.
    private func isPlain(_ stream: UnsafeMutablePointer<FletchHTTP2.Stream>, _ rejection: Rejection) -> Bool {
        switch rejection {
        case .notGRPC, .methodNotAllowed: RequestHead.asksForPlainPage(stream.pointee.fields)
        default: false
        }
    }

    /// Reads the header fields, and asks the interceptors.
    private func begin(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) throws(Rejection) {
        guard !dispatcher.interceptors.isEmpty else { return try readHead(of: call, on: stream) }
        var rejection: Rejection?
        do throws(Rejection) { try readHead(of: call, on: stream) } catch { rejection = error }
        if let refusal = announce(call, on: stream), rejection == nil { rejection = .refused(refusal) }
        if let rejection { throw rejection }
    }

    private func readHead(
        of call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) throws(Rejection) {
        try call.pointee.begin(
            stream.pointee, methods: dispatcher.methods, accepted: dispatcher.coding.accepted,
            requestTimeout: dispatcher.limits.requestTimeout, now: now)
    }

    /// The method of a call that was not rejected.
    private func method(of call: UnsafeMutablePointer<ServerCall>) -> UnsafePointer<MethodTable.Entry> {
        dispatcher.methods[call.pointee.method!]
    }

    private func handler(of call: UnsafeMutablePointer<ServerCall>) -> Method.Handler {
        method(of: call).pointee.method.handler
    }

    public override func session(
        received bytes: UnsafeRawBufferPointer, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) {
        let call = call(of: stream)
        do throws(Rejection) {
            switch call.pointee.phase {
            case .receiving: try call.pointee.receive(bytes, budget: &budget)
            case .running: try call.pointee.async?.received(bytes)
            case .idle, .plain, .answered: break
            }
        } catch {
            reject(stream, error)
        }
    }

    public override func session(receivedEndOn stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        let call = call(of: stream)
        do throws(Rejection) {
            switch call.pointee.phase {
            case .receiving: try invoke(call, on: stream)
            case .running: try call.pointee.async?.receivedEnd()
            case .plain: answerPlainly(stream)
            case .idle, .answered: break
            }
        } catch {
            reject(stream, error)
        }
    }

    public override func session(sentBodyOn stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        call(of: stream).pointee.async?.sentResponses()
    }

    public override func session(closed stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        let call = call(of: stream)
        if call.pointee.isWaiting {
            unansweredCalls &+= 1
            finish(stream, .cancelled)
        }
        if call.pointee.phase != .idle { openCallCount &-= 1 }
        call.pointee.async?.closed()
        call.pointee.clear(budget: &budget)
    }

    // MARK: Handlers

    private func invoke(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) throws(Rejection) {
        // Calls before this one may have taken long: what nobody waits for any more is not worked on.
        let now = call.pointee.deadline == .max ? self.now : dispatcher.clock()
        let request = try call.pointee.message(now: now)
        messagesReceived &+= 1
        guard now &- arrivedAt <= dispatcher.limits.maxQueueingDelay else { throw .queuedTooLong }
        switch handler(of: call) {
        case .inline(let handler): try invoke(handler, call, on: stream, request: request)
        case .task(_, let handler): try run(handler, call, on: stream, message: call.pointee.takeBuffer())
        }
    }

    private func invoke(
        _ handler: (UnaryCall) throws(RPCError) -> Void, _ call: UnsafeMutablePointer<ServerCall>,
        on stream: UnsafeMutablePointer<FletchHTTP2.Stream>, request: UnsafeRawBufferPointer
    ) throws(Rejection) {
        let storage = dispatcher.storage
        storage.pointee.deadline = call.pointee.deadline
        storage.pointee.metadata = Metadata(fields: stream.pointee.fields)
        storage.pointee.peer = .passUnretained(peer)
        storage.pointee.response = nil
        storage.pointee.compressesResponse = nil
        let isCompressed = MessagePrefix.isCompressed(request)
        storage.pointee.requestIsCompressed = isCompressed
        let request = isCompressed ? try decompressed(request, of: call) : request
        defer { dispatcher.arena.reset() }
        do throws(RPCError) {
            try handler(UnaryCall(request: request, arena: dispatcher.arena, storage: storage))
        } catch {
            storage.pointee.later = nil
            answer(stream, RPCError(thrown: error), httpStatus: 200, metadata: takeMetadata())
            return
        }
        if let later = storage.pointee.later {
            storage.pointee.later = nil
            try run(later, call, on: stream, message: call.pointee.takeBuffer())
            call.pointee.async?.takeOver(storage)
            return
        }
        // The handler may have taken long; a caller that has given up must not read OK in our counters.
        if call.pointee.deadline != .max, dispatcher.clock() >= call.pointee.deadline { throw .deadlineExceeded }
        try respond(call, on: stream)
    }

    private func decompressed(
        _ message: UnsafeRawBufferPointer, of call: UnsafeMutablePointer<ServerCall>
    ) throws(Rejection) -> UnsafeRawBufferPointer {
        guard let encoding = call.pointee.encoding else { return message }
        return try dispatcher.coding.decompress(message, encoding, limit: call.pointee.maxRequestBytes)
    }

    /// Starts a handler as a task.
    private func run(
        _ handler: @escaping @Sendable (AsyncCall) async throws -> Void, _ call: UnsafeMutablePointer<ServerCall>,
        on stream: UnsafeMutablePointer<FletchHTTP2.Stream>, message: consuming MessageBuffer?
    ) throws(Rejection) {
        let heldBytes = Self.handlerBytes &+ stream.pointee.fields.bytes.count
        do throws(Rejection) {
            try admitHandler(holding: heldBytes)
        } catch {
            message?.clear(budget: &budget)
            message?.destroy()
            throw error
        }
        let async = AsyncCall(
            on: stream, of: self, dispatcher: dispatcher, call: call.pointee, message: message, heldBytes: heldBytes)
        call.pointee.run(async)
        async.start(handler)
    }

    /// Sheds a call where too much is under way to start its handler.
    private func admitHandler(holding heldBytes: Int) throws(Rejection) {
        let limits = dispatcher.limits
        let left = limits.maxRunningHandlers &- dispatcher.runningHandlers
        guard runningHandlers < dispatcher.resources.limits.maxConcurrentStreams, left > 0,
            isFairShare(runningHandlers, left: left, of: limits.maxRunningHandlers, limits.connectionShare)
        else { throw .tooManyHandlers }
        guard budget.take(heldBytes) else { throw .overloaded }
    }

    // MARK: Answers

    private func respond(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) throws(Rejection) {
        guard let message = dispatcher.storage.pointee.response else { throw .responseMissing }
        let packed = compressed(message, on: stream)
        guard let framed = packed?.bytes ?? MessagePrefix.write(before: message) else { throw .responseMissing }
        guard call.pointee.keep(framed, budget: &budget) else {
            throw dispatcher.shedding(framed.count)
        }
        attachMetadata(to: call, encoding: packed?.encoding)
        messagesSent &+= 1
        finish(stream, .ok)
        http2.respond(
            to: stream, head: call.pointee.head ?? method(of: call).pointee.heads[packed?.encoding],
            body: call.pointee.buffer.bytes, trailers: call.pointee.trailers ?? dispatcher.okTrailers)
    }

    /// The response compressed and with its prefix; nil where it goes out as it is.
    private func compressed(
        _ message: UnsafeMutableRawBufferPointer, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) -> (bytes: UnsafeRawBufferPointer, encoding: CompressionAlgorithm)? {
        let choice = dispatcher.storage.pointee.compressesResponse
        guard dispatcher.coding.compresses(byteCount: message.count, choice: choice),
            let encoding = dispatcher.coding.encoding(for: stream.pointee.fields),
            let bytes = dispatcher.coding.compress(message, encoding)
        else { return nil }
        return (bytes, encoding)
    }

    private func answerPlainly(_ stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        guard let page = dispatcher.plainPage else { return }
        finish(stream, .ok)
        http2.respond(to: stream, head: page.head, body: page.body, trailers: nil)
    }

    /// Moves the handler's metadata, if it set any, into blocks that live with the call.
    private func attachMetadata(to call: UnsafeMutablePointer<ServerCall>, encoding: CompressionAlgorithm?) {
        let storage = dispatcher.storage
        if !storage.pointee.initialMetadata.isEmpty {
            call.pointee.head = answerHead(
                encoding: encoding,
                schemaFields(method(of: call).pointee.method.service)
                    + takeFields(&storage.pointee.initialMetadata))
        }
        if !storage.pointee.trailingMetadata.isEmpty {
            call.pointee.trailers = statusTrailers(nil, takeFields(&storage.pointee.trailingMetadata))
        }
    }

    private func takeMetadata() -> [FieldBlock.Field] {
        takeFields(&dispatcher.storage.pointee.initialMetadata)
            + takeFields(&dispatcher.storage.pointee.trailingMetadata)
    }

    /// Begins the response of a task.
    func begin(
        _ stream: UnsafeMutablePointer<FletchHTTP2.Stream>, encoding: CompressionAlgorithm?,
        initialMetadata: [MetadataField]
    ) {
        let call = call(of: stream)
        if !initialMetadata.isEmpty {
            call.pointee.head = answerHead(
                encoding: encoding,
                schemaFields(method(of: call).pointee.method.service) + initialMetadata.map(\.field))
        }
        http2.beginResponse(to: stream, head: call.pointee.head ?? method(of: call).pointee.heads[encoding])
        noteOutput()
    }

    /// Ends the call of a task: with OK where `error` is nil.
    func end(
        _ stream: UnsafeMutablePointer<FletchHTTP2.Stream>, _ async: AsyncCall, _ error: RPCError?,
        httpStatus: Int = 200,
        resetCode: UInt32 = 0, extraField: FieldBlock.Field? = nil, initialMetadata: [MetadataField] = [],
        trailingMetadata: [MetadataField] = []
    ) {
        defer { noteOutput() }
        let trailing = trailingMetadata.map(\.field) + (extraField.map { [$0] } ?? [])
        guard async.hasBegunResponse else {
            answer(
                stream, error ?? Rejection.responseMissing.error, httpStatus: httpStatus, resetCode: resetCode,
                metadata: initialMetadata.map(\.field) + trailing)
            return
        }
        let call = call(of: stream)
        finish(stream, error?.code ?? .ok)
        guard resetCode == 0 || http2.canSendBody(of: stream) else {
            // Trailers would wait behind the window of a peer that does not read.
            http2.reset(stream, code: resetCode)
            return
        }
        if error != nil || !trailing.isEmpty { call.pointee.trailers = statusTrailers(error, trailing) }
        http2.endResponse(
            to: stream, trailers: call.pointee.trailers ?? dispatcher.okTrailers, resetCode: resetCode)
    }

    private func reject(_ stream: UnsafeMutablePointer<FletchHTTP2.Stream>, _ rejection: Rejection) {
        if let async = call(of: stream).pointee.async {
            async.fail(
                rejection.error, httpStatus: rejection.httpStatus, resetCode: rejection.resetCode,
                extraField: rejection.extraField)
        } else {
            answer(
                stream, rejection.error, httpStatus: rejection.httpStatus, resetCode: rejection.resetCode,
                metadata: takeMetadata() + (rejection.extraField.map { [$0] } ?? []))
        }
    }

    /// Answers without a message: header fields alone, status included.
    private func answer(
        _ stream: UnsafeMutablePointer<FletchHTTP2.Stream>, _ error: RPCError, httpStatus: Int, resetCode: UInt32 = 0,
        metadata: [FieldBlock.Field]
    ) {
        let call = call(of: stream)
        let block = FieldBlock(
            [.init(":status", String(httpStatus)), .init("content-type", "application/grpc")]
                + schemaFields(service(of: call, on: stream)) + statusFields(error) + metadata)
        call.pointee.head = block
        finish(stream, error.code)
        http2.respond(to: stream, fields: block, resetCode: resetCode)
    }

    /// The service that a call names, also where it was rejected.
    private func service(
        of call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) -> ServiceDescriptor? {
        if call.pointee.method != nil { return method(of: call).pointee.method.service }
        let path = stream.pointee.fields.first { $0.name.equals(":path") }?.value
        return path.flatMap { dispatcher.methods.service(of: $0) }.flatMap {
            dispatcher.methods[$0].pointee.method.service
        }
    }

    /// Counts the end of a call.
    private func finish(_ stream: UnsafeMutablePointer<FletchHTTP2.Stream>, _ code: StatusCode) {
        let call = call(of: stream)
        if call.pointee.isWaiting { waitingCount &-= 1 }
        call.pointee.markAnswered()
        dispatcher.shared.pointee.counters.callsByStatus[Int(code.rawValue)] &+= 1
        if call.pointee.interceptors > 0 { announceEnd(call, on: stream, code) }
    }
}
