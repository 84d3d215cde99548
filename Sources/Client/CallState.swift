internal import FletchCompression
internal import FletchEventLoop
internal import FletchHTTP2
internal import FletchRPC

/// A call as its tasks and its connection share it: messages on their way, under a lock, and who waits for them.
///
/// Tasks take and leave messages here; the connection is told on its loop. What waits is bounded both ways: what its
/// reader has not taken is not given back to the server's window, and a writer waits for the server.
final class CallState: ResponseReceiver, @unchecked Sendable {
    /// Bytes of requests that may wait for the server before a writer does.
    private static let maxUnsentBytes = 64 << 10
    /// A part of the server's window is given back at once, rather than message by message.
    private static let windowPart = Int(ClientLimits().streamWindowBytes) / 4
    /// Requests of a stream that are kept to be sent again.
    private static let maxReplayedBytes = 64 << 10
    /// What a message's prefix can say.
    static let maxMessageBytes = Int(UInt32.max)

    private typealias Waiter = UnsafeContinuation<Void, Never>

    private struct Shared {
        var head: MetadataList?
        var messages: [ReceivedMessage] = []
        var firstMessage = 0
        /// Bytes of the response that were not given back to the server's window; of them, those the reader has taken.
        var heldBytes = 0
        var takenBytes = 0
        var end: CallEnd?
        /// Who waits for head, messages or end.
        var readers: [Waiter] = []

        /// Requests that the loop has not taken.
        var outbox: [[UInt8]] = []
        var requestsEnded: Bool
        var unsentBytes = 0
        var writers: [Waiter] = []
        /// Whether the loop was told to look here.
        var loopWillLook = false

        var hasMessage: Bool { firstMessage < messages.count }

        mutating func takeMessage() -> ReceivedMessage? {
            guard hasMessage else { return nil }
            let message = messages[firstMessage]
            firstMessage += 1
            takenBytes += message.bytes.count
            if !hasMessage {
                messages.removeAll(keepingCapacity: true)
                firstMessage = 0
            } else if firstMessage >= 64, firstMessage * 2 > messages.count {
                // A queue that never runs empty must not keep what was taken.
                messages.removeFirst(firstMessage)
                firstMessage = 0
            }
            return message
        }

        /// What the server may send again.
        mutating func giveWindowBack() -> Int {
            let bytes = hasMessage ? min(takenBytes, heldBytes) : heldBytes
            heldBytes -= bytes
            takenBytes = 0
            return bytes
        }

        mutating func takeReaders() -> [Waiter] {
            defer { readers = [] }
            return readers
        }

        mutating func takeWriters() -> [Waiter] {
            defer { writers = [] }
            return writers
        }
    }

    private let path: String
    private let options: CallOptions
    private let hasSingleRequest: Bool
    private let hasSingleResponse: Bool
    private let maxResponseBytes: Int
    /// In nanoseconds of the monotonic clock; `UInt64.max`: never.
    private let deadline: UInt64
    private let connector: Connector
    private let shared: Locked<Shared>
    private let compressor: Locked<Compressor?>
    private let decompressor = Locked<Decompressor?>(nil)

    // On the loop's thread alone.
    private var connection: ClientConnection?
    private var exchange: ClientExchange?
    private var timer: LoopTimer?
    private var attempts = 0
    /// Requests that were sent, for another attempt; nil once they are too many or there will be none.
    private var replay: [[UInt8]]? = []

    init(_ request: CallRequest, on connector: Connector) {
        path = request.path
        options = request.options
        hasSingleRequest = request.message != nil
        hasSingleResponse = request.hasSingleResponse
        let limit = request.options.maxResponseBytes ?? connector.configuration.maxResponseBytes
        maxResponseBytes = min(max(0, limit), Self.maxMessageBytes)
        let (deadline, overflow) = EventLoop.now().addingReportingOverflow(
            request.options.timeout?.clampedNanoseconds ?? .max)
        self.deadline = overflow ? .max : deadline
        self.connector = connector
        compressor = Locked(nil)
        shared = Locked(Shared(requestsEnded: request.message != nil))
        if let message = request.message {
            let framed = frame(message, compressed: nil)
            shared.withLock {
                $0.outbox = [framed]
                $0.unsentBytes = framed.count
            }
        }
    }

    // MARK: For tasks

    func write(_ message: [UInt8], compressed: Bool?) async throws(RPCError) {
        try Self.check(message)
        let framed = frame(message, compressed: compressed)
        let (problem, mustTell) = shared.withLock { shared -> (RPCError?, Bool) in
            if let end = shared.end { return (end.error ?? .requestsNotWanted, false) }
            guard !shared.requestsEnded else {
                return (RPCError(.failedPrecondition, "a request was written after the last one"), false)
            }
            shared.outbox.append(framed)
            shared.unsentBytes += framed.count
            return (nil, Self.tell(&shared))
        }
        if let problem { throw problem }
        if mustTell { tellLoop() }
        await wait(\.writers) { $0.end != nil || $0.unsentBytes <= Self.maxUnsentBytes }
        if let error = shared.withLock({ $0.end?.error }) { throw error }
    }

    func finishRequests() {
        let mustTell = shared.withLock { shared in
            guard !shared.requestsEnded, shared.end == nil else { return false }
            shared.requestsEnded = true
            return Self.tell(&shared)
        }
        if mustTell { tellLoop() }
    }

    func next() async throws(RPCError) -> [UInt8]? {
        while true {
            let (message, end, mustTell) = shared.withLock { shared -> (ReceivedMessage?, CallEnd?, Bool) in
                if hasSingleResponse, let end = shared.end, end.error != nil { return (nil, end, false) }
                guard !hasSingleResponse || shared.end != nil, let message = shared.takeMessage() else {
                    return (nil, shared.end, false)
                }
                let unheld = shared.hasMessage ? shared.takenBytes : shared.heldBytes
                return (message, nil, unheld >= Self.windowPart && shared.end == nil && Self.tell(&shared))
            }
            if mustTell { tellLoop() }
            if let message { return try unpacked(message) }
            if let end {
                if let error = end.error { throw error }
                return nil
            }
            let single = hasSingleResponse
            await wait(\.readers) { $0.end != nil || (!single && $0.hasMessage) }
        }
    }

    func initialMetadata() async throws(RPCError) -> MetadataList {
        await wait(\.readers) { $0.head != nil || $0.end != nil }
        let (head, end) = shared.withLock { ($0.head, $0.end) }
        if let head { return head }
        if let error = end?.error { throw error }
        return MetadataList()
    }

    var trailingMetadata: MetadataList? { shared.withLock { $0.end?.trailers } }

    func cancel() { abort(RPCError(.cancelled, "the call was cancelled")) }

    /// Ends the call from our side, from any thread.
    private func abort(_ error: RPCError) {
        if finish(CallEnd(error: error), dropsMessages: true) { connector.post { _ in self.cleanUp() } }
    }

    /// - Throws: `resourceExhausted` where a request message is larger than gRPC can say.
    static func check(_ message: [UInt8]) throws(RPCError) {
        guard message.count <= maxMessageBytes else {
            throw RPCError(.resourceExhausted, "a request message has \(message.count) bytes, more than gRPC can say")
        }
    }

    private func frame(_ message: [UInt8], compressed: Bool?) -> [UInt8] {
        guard let algorithm = options.compression, compressed ?? true else {
            return framedRequest(message, compressor: nil)
        }
        return compressor.withLock { compressor in
            let made = compressor ?? Compressor()
            compressor = made
            return framedRequest(message, compressor: (made, algorithm))
        }
    }

    private func unpacked(_ message: ReceivedMessage) throws(RPCError) -> [UInt8] {
        guard let encoding = message.encoding else { return message.bytes }
        let result = decompressor.withLock { decompressor -> Result<[UInt8], DecompressionError> in
            let made = decompressor ?? Decompressor()
            decompressor = made
            return message.bytes.withUnsafeBytes { bytes in
                Result { () throws(DecompressionError) in
                    Array(try made.decompress(bytes, encoding, limit: maxResponseBytes))
                }
            }
        }
        switch result {
        case .success(let bytes): return bytes
        case .failure(let error):
            let failure =
                switch error {
                case .tooLarge(let limit): RPCError.responseTooLarge(limit: limit)
                default: RPCError(.internal, "a response message cannot be decompressed: \(error.message)")
                }
            abort(failure)
            throw failure
        }
    }

    /// Waits until `isReady` may hold, or the task is cancelled, which ends the call.
    private func wait(
        _ waiters: any WritableKeyPath<Shared, [Waiter]> & Sendable, until isReady: @Sendable (Shared) -> Bool
    ) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { waiter in
                let goesOn = shared.withLock { shared in
                    if isReady(shared) { return true }
                    shared[keyPath: waiters].append(waiter)
                    return false
                }
                if goesOn { waiter.resume() }
            }
        } onCancel: {
            cancel()
        }
    }

    /// Whether the loop must be told that there is something for it.
    private static func tell(_ shared: inout Shared) -> Bool {
        defer { shared.loopWillLook = true }
        return !shared.loopWillLook
    }

    private func tellLoop() { connector.post { _ in self.look() } }

    /// Notes the end, the first one; false where there was one.
    private func finish(_ end: CallEnd, dropsMessages: Bool = false) -> Bool {
        let (isFirst, waiters) = shared.withLock { shared -> (Bool, [Waiter]) in
            guard shared.end == nil else { return (false, []) }
            shared.end = end
            shared.outbox = []
            if dropsMessages {
                shared.messages = []
                shared.firstMessage = 0
            }
            return (true, shared.takeReaders() + shared.takeWriters())
        }
        guard isFirst else { return false }
        if let trailers = end.trailers { options.received?.note(trailing: trailers) }
        for waiter in waiters { waiter.resume() }
        return true
    }

    // MARK: On the loop

    var isOver: Bool { shared.withLock { $0.end != nil } }

    /// Sets the alarm for the deadline.
    func startClock() {
        guard deadline < .max, !isOver else { return }
        let loop = connector.loop.loop
        let timer = LoopTimer(on: loop) { [unowned self] in deadlinePassed() }
        timer.start(after: (deadline - min(deadline, loop.turnStart)) / 1_000_000 + 1)
        self.timer = timer
    }

    /// Begins the call on a connection; false where that takes no more.
    func begin(on connection: ClientConnection) -> Bool {
        let timeout =
            deadline == .max ? nil : Duration.nanoseconds(Int64(clamping: deadline - min(deadline, EventLoop.now())))
        let head = requestHead(
            path: path, authority: connector.configuration.authority ?? connector.target.authority,
            scheme: connector.tls == nil ? "http" : "https", userAgent: "fletch", timeout: timeout,
            compression: options.compression, metadata: options.metadata)
        let exchange = ClientExchange(
            session: connection.session, maxMessageBytes: maxResponseBytes, hasSingleResponse: hasSingleResponse,
            receiver: self)
        guard connection.session.open(exchange, head: head) else { return false }
        attempts += 1
        self.connection = connection
        self.exchange = exchange
        look()
        return true
    }

    /// Takes what tasks have left.
    private func look() {
        let (pieces, isLast, window) = shared.withLock { shared in
            shared.loopWillLook = false
            // Without a stream, requests wait on.
            guard exchange != nil else { return ([[UInt8]](), false, 0) }
            defer { shared.outbox = [] }
            return (shared.outbox, shared.requestsEnded, shared.giveWindowBack())
        }
        guard let exchange, let connection else { return }
        keepForReplay(pieces)
        for piece in pieces { connection.session.send(piece, on: exchange) }
        if isLast { connection.session.endRequest(of: exchange) }
        connection.session.consume(window, on: exchange)
        connection.noteOutput()
    }

    private func keepForReplay(_ pieces: [[UInt8]]) {
        guard let kept = replay, attempts == 1 else { return }
        let all = kept + pieces
        let isSmall = hasSingleRequest || all.reduce(0) { $0 + $1.count } <= Self.maxReplayedBytes
        replay = isSmall ? all : nil
    }

    private func deadlinePassed() {
        let isConnected = exchange != nil
        abort(
            RPCError(
                .deadlineExceeded,
                isConnected
                    ? "the deadline passed before the server had answered"
                    : "the deadline passed before a connection to \(connector.target.text) was there"))
    }

    /// Lets go of what an ended call holds.
    private func cleanUp() {
        timer?.close()
        timer = nil
        replay = nil
        let connection = connection
        let exchange = exchange
        self.connection = nil
        self.exchange = nil
        exchange?.cancel()
        connection?.noteOutput()
        connector.forget(self)
    }

    // MARK: ResponseReceiver

    func received(head: MetadataList) {
        replay = nil
        options.received?.note(initial: head)
        let readers = shared.withLock { shared in
            shared.head = head
            return hasSingleResponse ? [] : shared.takeReaders()
        }
        for reader in readers { reader.resume() }
    }

    func received(_ messages: [ReceivedMessage], byteCount: Int) -> Int {
        let (window, readers) = shared.withLock { shared -> (Int, [Waiter]) in
            guard shared.end == nil else { return (0, []) }
            shared.messages += messages
            shared.heldBytes += byteCount
            guard shared.hasMessage else { return (shared.giveWindowBack(), []) }
            return (0, hasSingleResponse ? [] : shared.takeReaders())
        }
        for reader in readers { reader.resume() }
        return window
    }

    func sent(byteCount: Int) {
        let writers = shared.withLock { shared in
            shared.unsentBytes -= byteCount
            return shared.unsentBytes <= Self.maxUnsentBytes ? shared.takeWriters() : []
        }
        for writer in writers { writer.resume() }
    }

    func ended(_ end: CallEnd) {
        if end.isUnprocessed, attempts == 1, let replay, !isOver { return tryAgain(replay) }
        var end = end
        // A server that gives a call up at its deadline does so a moment before we do.
        if end.error?.code == .cancelled, end.trailers == nil, EventLoop.now() >= deadline {
            end = CallEnd(error: RPCError(.deadlineExceeded, "the deadline passed before the server had answered"))
        }
        if finish(end) { cleanUp() }
    }

    /// The server has not seen the call: another connection, or the same one later, may take it.
    private func tryAgain(_ requests: [[UInt8]]) {
        replay = nil
        connection = nil
        exchange = nil
        shared.withLock { shared in
            shared.outbox = requests + shared.outbox
            shared.unsentBytes = shared.outbox.reduce(0) { $0 + $1.count }
        }
        connector.place(self)
    }
}

/// A call as its owner has it: it ends with the last reference.
final class NetworkCall: ClientCall {
    private let state: CallState

    init(_ state: CallState) { self.state = state }

    deinit { state.cancel() }

    func write(_ message: [UInt8], compressed: Bool?) async throws(RPCError) {
        try await state.write(message, compressed: compressed)
    }

    func finishRequests() { state.finishRequests() }

    func next() async throws(RPCError) -> [UInt8]? { try await state.next() }

    func initialMetadata() async throws(RPCError) -> MetadataList { try await state.initialMetadata() }

    var trailingMetadata: MetadataList? { state.trailingMetadata }

    func cancel() { state.cancel() }
}
