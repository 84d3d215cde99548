internal import CNghttp2

/// The server's side of one HTTP/2 connection, without any I/O: bytes come in by ``receive(_:)``, requests go to the
/// delegate, answers are queued by `respond`, and ``fill(_:)`` says which bytes to send.
///
/// nghttp2 speaks the protocol; the limits it does not hold are held here (``Limits``). A breach queues a GOAWAY with
/// ENHANCE_YOUR_CALM and finishes the session.
public final class Session {
    let state: UnsafeMutablePointer<SessionState>
    private let resources: SessionResources

    /// A session for a new connection; its SETTINGS are the first thing ``fill(_:)`` gives.
    public init(resources: SessionResources) throws(HTTP2Error) {
        self.resources = resources
        state = .allocate(capacity: 1)
        state.initialize(to: SessionState(resources: resources))
        var session: OpaquePointer?
        let code = nghttp2_session_server_new3(
            &session, resources.callbacks, state, resources.options, resources.allocator)
        guard code == 0, let session else {
            throw HTTP2Error(kind: .outOfMemory, description: "no memory for an HTTP/2 session")
        }
        state.pointee.session = session
        submitSettings(resources.limits)
    }

    /// Who hears of requests: set before the first ``receive(_:)``, not retained, must live until ``close()``.
    public func setDelegate(_ delegate: SessionDelegate) {
        state.pointee.delegate = .passUnretained(delegate)
    }

    deinit {
        close()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Ends the session: every open stream is reported closed, then nothing more is.
    public func close() {
        guard let session = state.pointee.session else { return }
        state.pointee.session = nil
        while let stream = state.pointee.openStreams {
            state.pointee.delegate._withUnsafeGuaranteedRef { $0.session(closed: stream) }
            state.pointee.finish(stream)
        }
        nghttp2_session_del(session)
    }

    // MARK: Bytes

    /// Takes what arrived on the connection.
    ///
    /// - Throws: Where the connection must be closed at once. Whatever ``fill(_:)`` still gives may be sent before.
    public func receive(_ bytes: UnsafeRawBufferPointer) throws(HTTP2Error) {
        guard !bytes.isEmpty, !state.pointee.isTerminated else { return }
        var fed = 0
        var offset = 0
        while let frame = state.pointee.scanner.next(in: bytes, at: &offset) {
            if state.pointee.admits(frame) { continue }
            // Before a frame is judged nghttp2 must have seen all that came before it.
            let start = max(fed, offset &- FrameScanner.Header.byteCount)
            try feed(bytes, from: fed, to: start)
            fed = start
            state.pointee.judge(frame)
            if state.pointee.isTerminated { return }
        }
        try feed(bytes, from: fed, to: bytes.count)
    }

    private func feed(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) throws(HTTP2Error) {
        guard start < end, let session = state.pointee.session, !state.pointee.isTerminated else { return }
        let first = (bytes.baseAddress! + start).assumingMemoryBound(to: UInt8.self)
        let consumed = nghttp2_session_mem_recv(session, first, end &- start)
        guard consumed < 0 else { return }
        // Too many answers wait for a peer that goes on asking.
        if consumed == Int(NGHTTP2_ERR_FLOODED.rawValue) { state.pointee.terminate() }
        // A callback that ended the session stops nghttp2 by an error, which is then not the peer's to hear.
        if !state.pointee.isTerminated { throw HTTP2Error(code: Int32(truncatingIfNeeded: consumed)) }
    }

    /// Appends what is to be sent to `output` until it is full or nothing is left.
    ///
    /// - Returns: Whether everything there is to send now is in `output`.
    public func fill(_ output: OutputBuffer) throws(HTTP2Error) -> Bool {
        guard let session = state.pointee.session else { return true }
        state.pointee.output = Unmanaged.passUnretained(output)
        return try output.fill(from: session)
    }

    // MARK: Answers

    /// Answers with `head`, the bytes of `body` (at least one), and `trailers`; nil: none.
    ///
    /// - Parameter body: Not copied; must stay until the stream is reported closed.
    public func respond(
        to stream: UnsafeMutablePointer<Stream>, head: FieldBlock, body: UnsafeRawBufferPointer,
        trailers: FieldBlock?
    ) {
        guard let session = state.pointee.session, !stream.pointee.hasResponse else { return }
        stream.pointee.body = body.baseAddress
        stream.pointee.bodyCount = body.count
        stream.pointee.trailers = trailers
        submit(session, stream, head)
    }

    /// Begins an answer whose body comes piece by piece by ``setBody(of:_:)``; ``endResponse(to:trailers:resetCode:)``
    /// ends it.
    ///
    /// - Parameter head: Not copied; must stay until the stream is reported closed.
    public func beginResponse(to stream: UnsafeMutablePointer<Stream>, head: FieldBlock) {
        guard let session = state.pointee.session, !stream.pointee.hasResponse else { return }
        stream.pointee.isBodyOpen = true
        submit(session, stream, head)
    }

    /// Says what of the body is left to send. What was set before is no longer referred to, and the count in
    /// `bodyOffset` starts anew.
    ///
    /// - Parameter bytes: Not copied; must stay until others are set or the stream is reported closed. At least the
    ///   stream's `begunBytes`, and these as they were.
    public func setBody(of stream: UnsafeMutablePointer<Stream>, _ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count >= stream.pointee.begunBytes, "the bytes of a frame that has begun were taken away")
        stream.pointee.body = bytes.baseAddress
        stream.pointee.bodyCount = bytes.count
        stream.pointee.bodyOffset = 0
        if !bytes.isEmpty { resumeBody(of: stream) }
    }

    /// Ends a body: after what is left of it, `trailers` follow; a request that has not ended is then reset.
    ///
    /// - Parameters:
    ///   - trailers: Not copied; must stay until the stream is reported closed.
    ///   - resetCode: The error code of that reset; NO_ERROR (0) tells the peer that the answer is whole.
    public func endResponse(
        to stream: UnsafeMutablePointer<Stream>, trailers: FieldBlock, resetCode: UInt32 = 0
    ) {
        guard stream.pointee.isBodyOpen else { return }
        stream.pointee.isBodyOpen = false
        stream.pointee.trailers = trailers
        resetAfterResponse(stream, code: resetCode)
        resumeBody(of: stream)
    }

    /// Whether the peer's windows let bytes of the stream's body through now.
    public func canSendBody(of stream: UnsafeMutablePointer<Stream>) -> Bool {
        guard let session = state.pointee.session else { return false }
        return nghttp2_session_get_remote_window_size(session) > 0
            && nghttp2_session_get_stream_remote_window_size(session, stream.pointee.id) > 0
    }

    /// Lets the peer send `count` further bytes on a stream that is consumed by hand.
    public func consume(_ count: Int, on stream: UnsafeMutablePointer<Stream>) {
        guard let session = state.pointee.session, !stream.pointee.requestEnded else { return }
        nghttp2_session_consume_stream(session, stream.pointee.id, count)
    }

    private func submit(_ session: OpaquePointer, _ stream: UnsafeMutablePointer<Stream>, _ head: FieldBlock) {
        stream.pointee.hasResponse = true
        state.pointee.unsentAnswers &+= 1
        var provider = nghttp2_data_provider()
        provider.source.ptr = UnsafeMutableRawPointer(stream)
        provider.read_callback = readBody
        let code = nghttp2_submit_response(
            session, stream.pointee.id, head.fields.baseAddress, head.fields.count, &provider)
        if code != 0 { reset(stream, code: NGHTTP2_INTERNAL_ERROR.rawValue) }
    }

    private func resumeBody(of stream: UnsafeMutablePointer<Stream>) {
        guard let session = state.pointee.session, stream.pointee.isBodyDeferred else { return }
        stream.pointee.isBodyDeferred = false
        state.pointee.unsentAnswers &+= 1
        nghttp2_session_resume_data(session, stream.pointee.id)
    }

    private func resetAfterResponse(_ stream: UnsafeMutablePointer<Stream>, code: UInt32) {
        guard !stream.pointee.requestEnded else { return }
        stream.pointee.resetsAfterResponse = true
        stream.pointee.resetCode = code
        state.pointee.resetsAfterResponse &+= 1
    }

    /// Answers with header fields alone and ends the stream; a request that has not ended is then reset.
    ///
    /// - Parameters:
    ///   - fields: Not copied; must stay until the stream is reported closed.
    ///   - resetCode: The error code of that reset; NO_ERROR (0) tells the peer that the answer is whole.
    public func respond(
        to stream: UnsafeMutablePointer<Stream>, fields: FieldBlock, resetCode: UInt32 = 0
    ) {
        guard let session = state.pointee.session, !stream.pointee.hasResponse else { return }
        stream.pointee.hasResponse = true
        resetAfterResponse(stream, code: resetCode)
        state.pointee.unsentAnswers &+= 1
        let code = nghttp2_submit_response(
            session, stream.pointee.id, fields.fields.baseAddress, fields.fields.count, nil)
        if code != 0 { reset(stream, code: NGHTTP2_INTERNAL_ERROR.rawValue) }
    }

    /// Resets a stream with an HTTP/2 error code.
    public func reset(_ stream: UnsafeMutablePointer<Stream>, code: UInt32) {
        guard let session = state.pointee.session else { return }
        nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.pointee.id, code)
    }

    // MARK: Life

    /// Tells the peer that the connection is about to end, while calls already under way to us are still taken
    /// (first phase: GOAWAY without a last stream, and a PING whose answer says that the peer has read it).
    public func announceShutdown() {
        guard let session = state.pointee.session else { return }
        nghttp2_submit_shutdown_notice(session)
        submitPing(.shutdown)
    }

    /// Asks the peer for a sign of life: whatever it sends next is one.
    public func ping() { submitPing(.liveness) }

    /// Takes no further calls (second phase: GOAWAY with the last stream taken). The session is finished once the
    /// calls it took are answered.
    public func refuseNewStreams() {
        guard let session = state.pointee.session, !state.pointee.refusesNewStreams else { return }
        state.pointee.refusesNewStreams = true
        nghttp2_submit_goaway(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(session),
            NGHTTP2_NO_ERROR.rawValue, nil, 0)
    }

    /// Ends the connection at once because its peer asks for too much: GOAWAY with ENHANCE_YOUR_CALM and `debugData`,
    /// which says to people, and to gRPC clients, what was too much. The session is finished once that is sent.
    public func terminate(debugData: StaticString) {
        guard let session = state.pointee.session, !state.pointee.isTerminated else { return }
        state.pointee.isTerminated = true
        // nghttp2's own termination carries no debug data, and a GOAWAY of its after ours would hide ours.
        nghttp2_submit_goaway(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(session),
            NGHTTP2_ENHANCE_YOUR_CALM.rawValue, debugData.utf8Start, debugData.utf8CodeUnitCount)
    }

    /// Lets time refill what the peer may spend on frames that bring nothing forward.
    public func earnAllowance(seconds: Int) {
        let limits = resources.limits
        state.pointee.noProgressFrames.earn(limits.noProgressFramesPerSecond * seconds)
        state.pointee.ownResets.earn(limits.ownResetsPerSecond * seconds)
        state.pointee.peerResets.earn(limits.peerResetsPerSecond * seconds)
    }

    /// Nothing is left to read or to send; the connection can be closed.
    public var isFinished: Bool {
        guard let session = state.pointee.session, !state.pointee.terminationWasSent else { return true }
        return nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    /// Whether the client's preface and SETTINGS have arrived.
    public var isEstablished: Bool { state.pointee.isEstablished }

    /// The number of the header list, or of any frame but DATA, that has begun and not ended; nil where none has.
    public var unfinishedHeaders: UInt64? { state.pointee.unfinishedHeaders }

    /// Whether the PING of ``announceShutdown()`` was answered.
    public var shutdownWasRead: Bool { state.pointee.shutdownWasRead }

    /// PINGs of the peer so far, answers to ours not among them.
    public var pingsReceived: UInt64 { state.pointee.pingsReceived }

    /// HEADERS, DATA and WINDOW_UPDATE frames sent so far, the greeting's WINDOW_UPDATE included.
    public var contentFramesSent: UInt64 { state.pointee.contentFramesSent }

    /// Streams that are open now.
    public var openStreamCount: Int { state.pointee.openStreamCount }

    /// Answers with bytes that wait to be sent.
    public var unsentAnswers: Int { state.pointee.unsentAnswers }

    /// Bytes of answers' bodies given to ``fill(_:)`` so far: stands still where the peer grants no window.
    public var bodyBytesSent: Int { state.pointee.bodyBytesSent }

    /// Calls `body` with each open stream. `body` may answer or reset it.
    public func forEachOpenStream(_ body: (UnsafeMutablePointer<Stream>) -> Void) {
        var stream = state.pointee.openStreams
        while let current = stream {
            stream = current.pointee.next
            body(current)
        }
    }

    private func submitPing(_ purpose: PingPurpose) {
        guard let session = state.pointee.session else { return }
        FletchHTTP2.submitPing(purpose.rawValue, to: session)
    }

    private func submitSettings(_ limits: Limits) {
        guard let session = state.pointee.session else { return }
        let settings = [
            entry(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, UInt32(limits.headerTableBytes)),
            entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams),
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(limits.streamWindowBytes)),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(limits.maxHeaderListBytes)),
            entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
        ]
        nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
        nghttp2_session_set_local_window_size(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindowBytes)
    }
}
