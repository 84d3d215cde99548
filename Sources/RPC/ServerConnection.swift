public import HTTP2
internal import Wire

/// gRPC on one connection without sockets: bytes in by ``receive(_:)``, calls to the dispatcher's methods, bytes out
/// by ``fill(_:)``.
public final class ServerConnection: SessionDelegate {
    private let dispatcher: Dispatcher
    /// Who is at the other end.
    public let peer: Peer
    /// The HTTP/2 session. Its constant reference is used without being counted.
    public let http2: Session
    private var now: UInt64 = 0
    /// Calls whose request has not ended. Unchecked, as the next: one thread, no call within an access.
    @exclusivity(unchecked) private var receivingCount = 0
    /// Calls that the connection has begun so far.
    @exclusivity(unchecked) public private(set) var startedCalls: UInt64 = 0

    public init(dispatcher: Dispatcher, peer: Peer) throws(HTTP2Error) {
        self.dispatcher = dispatcher
        self.peer = peer
        http2 = try Session(resources: dispatcher.resources)
        super.init()
        http2.setDelegate(self)
    }

    // MARK: Bytes

    /// Takes what arrived. Complete calls are answered before it returns; ``fill(_:)`` has the answers.
    ///
    /// - Throws: Where the connection must be closed at once.
    public func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTP2Error) {
        now = dispatcher.clock()
        try http2.receive(bytes)
    }

    /// Appends what is to be sent to `output`; true where nothing is left to append.
    public func fill(_ output: OutputBuffer) throws(HTTP2Error) -> Bool { try http2.fill(output) }

    // MARK: Life

    /// Ends the connection: calls that are not answered are forgotten.
    public func close() { http2.close() }

    /// Calls that the connection still owes something: open streams.
    public var openCallCount: Int { http2.openStreamCount }

    /// When the first incomplete request must be answered for being late, in nanoseconds; nil where none waits.
    public var nextExpiry: UInt64? {
        guard receivingCount > 0 else { return nil }
        var first = UInt64.max
        http2.forEachOpenStream { first = min(first, call(of: $0).pointee.expiry) }
        return first
    }

    /// Answers the requests that have waited too long.
    public func expireCalls() {
        now = dispatcher.clock()
        http2.forEachOpenStream { stream in
            if let rejection = call(of: stream).pointee.overdue(now: now) { reject(stream, rejection) }
        }
    }

    // MARK: SessionDelegate

    public override func session(receivedHeadersOn stream: UnsafeMutablePointer<HTTP2.Stream>) {
        dispatcher.shared.pointee.counters.callsStarted &+= 1
        startedCalls &+= 1
        receivingCount &+= 1
        do throws(Rejection) {
            try call(of: stream).pointee.begin(
                stream.pointee, methods: dispatcher.methods, requestTimeout: dispatcher.limits.requestTimeout,
                now: now)
        } catch {
            reject(stream, error)
        }
    }

    public override func session(received bytes: UnsafeRawBufferPointer, on stream: UnsafeMutablePointer<HTTP2.Stream>)
    {
        let call = call(of: stream)
        guard call.pointee.phase == .receiving else { return }
        do throws(Rejection) {
            try call.pointee.receive(bytes, budget: &dispatcher.shared.pointee.budget)
        } catch {
            reject(stream, error)
        }
    }

    public override func session(receivedEndOn stream: UnsafeMutablePointer<HTTP2.Stream>) {
        let call = call(of: stream)
        guard call.pointee.phase == .receiving else { return }
        do throws(Rejection) {
            // Calls before this one may have taken long: what nobody waits for any more is not worked on.
            let request = try call.pointee.message(now: call.pointee.deadline == .max ? now : dispatcher.clock())
            invoke(call, on: stream, request: request)
        } catch {
            reject(stream, error)
        }
    }

    public override func session(closed stream: UnsafeMutablePointer<HTTP2.Stream>) {
        let call = call(of: stream)
        if call.pointee.phase == .receiving {
            receivingCount &-= 1
            dispatcher.shared.pointee.counters.callsByStatus[Int(StatusCode.cancelled.rawValue)] &+= 1
        }
        call.pointee.clear(budget: &dispatcher.shared.pointee.budget)
    }

    // MARK: Answers

    private func invoke(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<HTTP2.Stream>,
        request: UnsafeRawBufferPointer
    ) {
        let storage = dispatcher.storage
        storage.pointee.deadline = call.pointee.deadline
        storage.pointee.metadata = Metadata(fields: stream.pointee.fields)
        storage.pointee.response = nil
        defer { dispatcher.arena.reset() }
        do throws(RPCError) {
            try dispatcher.methods[call.pointee.method].pointee.method.invoke(
                UnaryCall(request: request, arena: dispatcher.arena, storage: storage))
        } catch {
            // An error that says OK is the handler's mistake; the caller must not take it for an answer.
            let error = error.code == .ok ? RPCError(.unknown, error.message) : error
            answer(stream, error, httpStatus: 200)
            return
        }
        // The handler may have taken long; a caller that has given up must not read OK in our counters.
        if call.pointee.deadline != .max, dispatcher.clock() >= call.pointee.deadline {
            reject(stream, .deadlineExceeded)
        } else {
            respond(call, on: stream)
        }
    }

    private func respond(_ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<HTTP2.Stream>) {
        guard let message = dispatcher.storage.pointee.response, let start = message.baseAddress,
            message.count <= UInt32.max
        else {
            reject(stream, .responseMissing)
            return
        }
        let prefix = start - UnaryCallStorage.prefixByteCount
        prefix.storeBytes(of: 0, as: UInt8.self)
        prefix.storeBytes(of: UInt32(truncatingIfNeeded: message.count).bigEndian, toByteOffset: 1, as: UInt32.self)
        let framed = UnsafeRawBufferPointer(start: prefix, count: UnaryCallStorage.prefixByteCount &+ message.count)
        guard call.pointee.keep(framed, budget: &dispatcher.shared.pointee.budget) else {
            reject(stream, .responseTooLarge)
            return
        }
        attachMetadata(to: call)
        finish(call, .ok)
        http2.respond(
            to: stream, head: call.pointee.head ?? dispatcher.okHead, body: call.pointee.buffer.bytes,
            trailers: call.pointee.trailers ?? dispatcher.okTrailers)
    }

    /// Moves the handler's metadata, if it set any, into blocks that live with the call.
    private func attachMetadata(to call: UnsafeMutablePointer<ServerCall>) {
        let storage = dispatcher.storage
        if !storage.pointee.initialMetadata.isEmpty {
            call.pointee.head = FieldBlock(
                [.init(":status", "200"), .init("content-type", "application/grpc")]
                    + takeFields(&storage.pointee.initialMetadata))
        }
        if !storage.pointee.trailingMetadata.isEmpty {
            call.pointee.trailers = FieldBlock(
                [.init("grpc-status", "0")] + takeFields(&storage.pointee.trailingMetadata))
        }
    }

    private func reject(_ stream: UnsafeMutablePointer<HTTP2.Stream>, _ rejection: Rejection) {
        answer(
            stream, RPCError(rejection.code, rejection.message), httpStatus: rejection.httpStatus,
            extraField: rejection.extraField, resetCode: rejection.resetCode)
    }

    /// Answers without a message: header fields alone, status included.
    private func answer(
        _ stream: UnsafeMutablePointer<HTTP2.Stream>, _ error: RPCError, httpStatus: Int,
        extraField: (name: String, value: String)? = nil, resetCode: UInt32 = 0
    ) {
        let call = call(of: stream)
        var fields: [FieldBlock.Field] = [
            .init(":status", String(httpStatus)), .init("content-type", "application/grpc"),
            .init("grpc-status", String(error.code.rawValue)),
            .init("grpc-message", percentEncoded(error.message), isRepeated: false),
        ]
        if let extraField { fields.append(.init(extraField.name, extraField.value)) }
        fields += takeFields(&dispatcher.storage.pointee.initialMetadata)
        fields += takeFields(&dispatcher.storage.pointee.trailingMetadata)
        let block = FieldBlock(fields)
        call.pointee.head = block
        finish(call, error.code)
        http2.respond(to: stream, fields: block, resetCode: resetCode)
    }

    private func finish(_ call: UnsafeMutablePointer<ServerCall>, _ code: StatusCode) {
        if call.pointee.phase == .receiving { receivingCount &-= 1 }
        call.pointee.markAnswered()
        dispatcher.shared.pointee.counters.callsByStatus[Int(code.rawValue)] &+= 1
    }
}

/// Empties `metadata` into fields of an answer.
private func takeFields(_ metadata: inout [(name: String, value: String)]) -> [FieldBlock.Field] {
    guard !metadata.isEmpty else { return [] }
    defer { metadata = [] }
    return metadata.map { .init($0.name, $0.value, isRepeated: false) }
}
