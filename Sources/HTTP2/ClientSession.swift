internal import CNghttp2

/// The client's side of one HTTP/2 connection, without any I/O: bytes come in by ``receive(_:now:)``, what they mean goes
/// to the streams, and ``fill(_:)`` says which bytes to send.
///
/// nghttp2 speaks the protocol and refuses responses that are not well-formed; the limits it does not hold are held here
/// (``ClientLimits``). Requests beyond what the server lets be open wait inside.
public final class ClientSession {
    /// What the server said of the connection's end.
    public struct GoAway: Sendable, Hashable {
        /// The error code (RFC 9113, 7).
        public let code: UInt32
        /// What else it said, for people; at most 256 bytes of it.
        public let debugData: String
    }

    private let limits: ClientLimits
    fileprivate var session: OpaquePointer?
    fileprivate var streams: [Int32: ClientStream] = [:]
    private var scanner = FrameScanner(preface: false)
    fileprivate var noProgressFrames: TokenBucket
    private var lastRefill: UInt64 = 0
    /// What is wrong with what the server sent, in words; nil: nothing so far.
    public fileprivate(set) var violation: String?

    /// The server's GOAWAY, where it has sent one: the connection takes no further requests.
    public fileprivate(set) var goAway: GoAway?
    /// Whether the server's SETTINGS have arrived.
    public fileprivate(set) var isEstablished = false
    /// Whether ``shutDown()`` was called.
    private var isShutDown = false

    /// A session for a new connection; the preface and SETTINGS are the first thing ``fill(_:)`` gives.
    public init(limits: ClientLimits = ClientLimits()) throws(HTTP2Error) {
        self.limits = limits
        noProgressFrames = TokenBucket(burst: limits.noProgressFrameBurst)
        let callbacks = makeClientCallbacks()
        let options = makeOptions(limits)
        defer {
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(options)
        }
        let code = nghttp2_session_client_new2(
            &session, callbacks, Unmanaged.passUnretained(self).toOpaque(), options)
        guard code == 0 else { throw HTTP2Error(code: code) }
        submitSettings()
    }

    deinit { close(reason: "it was closed") }

    /// Ends the session: every open stream hears that the connection is lost, and why; then nothing more does.
    public func close(reason: String) {
        guard let session else { return }
        self.session = nil
        let open = streams.values.sorted { $0.id < $1.id }
        streams = [:]
        for stream in open {
            stream.end(resetCode: nil, problem: .connectionLost(reason), isUnprocessed: !stream.headWasSent)
        }
        nghttp2_session_del(session)
    }

    // MARK: Bytes

    /// Takes what arrived on the connection.
    ///
    /// - Parameter now: The monotonic clock, in nanoseconds.
    /// - Throws: Where the connection must be closed. What ``fill(_:)`` still gives may be sent before.
    public func receive(_ bytes: UnsafeRawBufferPointer, now: UInt64) throws(HTTP2Error) {
        guard let session, let start = bytes.baseAddress, !bytes.isEmpty else { return }
        refill(now: now)
        var offset = 0
        while let frame = scanner.next(in: bytes, at: &offset) {
            let isData = UInt32(frame.type) == NGHTTP2_DATA.rawValue && frame.length >= limits.minDataFrameBytes
            guard isData || noProgressFrames.spend() else {
                throw terminate(
                    NGHTTP2_ENHANCE_YOUR_CALM, "it floods us with frames that bring no call forward")
            }
            // Our first words forbid it; nghttp2 takes it until the server has acknowledged them.
            guard UInt32(frame.type) != NGHTTP2_PUSH_PROMISE.rawValue else {
                throw terminate(NGHTTP2_PROTOCOL_ERROR, "it pushes what nobody asked for")
            }
        }
        let consumed = nghttp2_session_mem_recv(session, start.assumingMemoryBound(to: UInt8.self), bytes.count)
        if consumed < 0 { throw HTTP2Error(code: Int32(truncatingIfNeeded: consumed)) }
        if let violation { throw HTTP2Error(kind: .violation, description: violation) }
    }

    private func terminate(_ code: nghttp2_error_code, _ description: String) -> HTTP2Error {
        nghttp2_session_terminate_session(session, code.rawValue)
        note(description)
        return HTTP2Error(kind: .violation, description: description)
    }

    private func refill(now: UInt64) {
        let seconds = Int(clamping: (now &- lastRefill) / 1_000_000_000)
        guard seconds > 0 else { return }
        // Beyond the burst nothing is earned, however long the connection was idle.
        noProgressFrames.earn(min(seconds, limits.noProgressFrameBurst) * limits.noProgressFramesPerSecond)
        lastRefill = now
    }

    /// Appends what is to be sent to `output` until it is full or nothing is left.
    ///
    /// - Returns: Whether everything there is to send now is in `output`.
    public func fill(_ output: OutputBuffer) throws(HTTP2Error) -> Bool {
        guard let session else { return true }
        return try output.fill(from: session)
    }

    // MARK: Requests

    /// Whether further requests can be sent on the connection.
    public var acceptsRequests: Bool {
        guard let session, !isShutDown else { return false }
        return goAway == nil && nghttp2_session_check_request_allowed(session) != 0
    }

    /// Whether some stream still hears of its end. Not so those that were reset, which nghttp2 keeps for a while: where they
    /// waited for their turn, until a server lets others be open.
    public var hasOpenStreams: Bool { streams.values.contains { !$0.isOver } }

    /// Sends a request's header fields, pseudo-headers first; its body follows by ``send(_:on:)``.
    ///
    /// - Returns: Whether the connection takes the request; where not, the stream hears nothing.
    public func open(_ stream: ClientStream, head: [FieldBlock.Field]) -> Bool {
        guard let session, acceptsRequests else { return false }
        let block = FieldBlock(head)
        stream.head = block
        let pointer = Unmanaged.passUnretained(stream).toOpaque()
        var provider = nghttp2_data_provider()
        provider.source.ptr = pointer
        provider.read_callback = readRequestBody
        let id = nghttp2_submit_request(
            session, nil, block.fields.baseAddress, block.fields.count, &provider, pointer)
        guard id > 0 else { return false }
        stream.id = id
        streams[id] = stream
        return true
    }

    /// Sends bytes of the request's body, after those sent before.
    public func send(_ bytes: [UInt8], on stream: ClientStream) {
        guard !stream.isOver, !stream.requestEnded else { return }
        stream.append(bytes)
        resume(stream)
    }

    /// Ends the request: nothing follows what was sent of its body.
    public func endRequest(of stream: ClientStream) {
        guard !stream.isOver, !stream.requestEnded else { return }
        stream.requestEnded = true
        resume(stream)
    }

    /// Lets the peer send `count` further bytes of the response.
    public func consume(_ count: Int, on stream: ClientStream) {
        guard let session, !stream.isOver, count > 0 else { return }
        nghttp2_session_consume_stream(session, stream.id, count)
    }

    /// Resets a stream with an HTTP/2 error code; it hears nothing more.
    public func reset(_ stream: ClientStream, code: UInt32) {
        stream.isOver = true
        stream.dropBody()
        submitReset(of: stream, code: code)
    }

    fileprivate func submitReset(of stream: ClientStream, code: UInt32) {
        guard let session, streams[stream.id] != nil else { return }
        nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code)
    }

    private func resume(_ stream: ClientStream) {
        guard let session, stream.isDeferred else { return }
        stream.isDeferred = false
        nghttp2_session_resume_data(session, stream.id)
    }

    // MARK: Life

    /// Asks the server for a sign of life: whatever it sends next is one.
    public func ping() { if let session { submitPing(0, to: session) } }

    /// Takes no further requests and tells the server (GOAWAY).
    public func shutDown() {
        guard let session, !isShutDown else { return }
        isShutDown = true
        nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, NGHTTP2_NO_ERROR.rawValue, nil, 0)
    }

    /// Nothing is left to read or to send; the connection can be closed.
    public var isFinished: Bool {
        guard let session else { return true }
        return nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    private func submitSettings() {
        let settings = [
            entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(limits.streamWindowBytes)),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(limits.maxHeaderListBytes)),
        ]
        nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
        nghttp2_session_set_local_window_size(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, limits.connectionWindowBytes)
    }

    // MARK: What nghttp2 tells

    fileprivate func began(headersOn stream: ClientStream) {
        stream.log.clear()
        stream.headerListBytes = 0
    }

    /// Whether the stream goes on.
    fileprivate func received(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, on stream: ClientStream
    ) -> Bool {
        stream.headerListBytes += name.count + value.count + 32
        guard stream.headerListBytes <= limits.maxHeaderListBytes else {
            stream.headersTooLarge = true
            return false
        }
        stream.log.append(name: name, value: value.withoutSurroundingSpace)
        return true
    }

    fileprivate func receivedHeaders(on stream: ClientStream, endsStream: Bool) {
        guard !stream.isOver else { return }
        let fields = stream.log.fields
        if stream.hasResponseHead {
            stream.receivedTrailers(fields)
        } else if fields.isInformational {
            return
        } else {
            stream.hasResponseHead = true
            stream.receivedHead(fields)
        }
        if endsStream { responseEnded(stream) }
    }

    fileprivate func responseEnded(_ stream: ClientStream) {
        guard !stream.isOver else { return }
        let requestEnded = stream.requestEnded && stream.bodyIsEmpty
        stream.end(resetCode: nil)
        // The server wants nothing more of the request.
        if !requestEnded { submitReset(of: stream, code: NGHTTP2_NO_ERROR.rawValue) }
    }

    fileprivate func received(goAway code: UInt32, debugData: UnsafeBufferPointer<UInt8>) {
        goAway = GoAway(code: code, debugData: String(decoding: debugData.prefix(256), as: UTF8.self))
        // nghttp2 would hold those back that wait for their turn, and drop them when others have ended.
        for stream in streams.values.filter({ !$0.headWasSent && !$0.isOver }).sorted(by: { $0.id < $1.id }) {
            stream.end(resetCode: NGHTTP2_REFUSED_STREAM.rawValue, isUnprocessed: true)
            submitReset(of: stream, code: NGHTTP2_REFUSED_STREAM.rawValue)
        }
    }

    fileprivate func closed(_ id: Int32, code: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        let problem: ClientStream.Problem? =
            stream.headersTooLarge ? .headersTooLarge : stream.isUnsendable ? .requestTooLarge : nil
        let isRefused = code == NGHTTP2_REFUSED_STREAM.rawValue && problem == nil
        stream.end(resetCode: code, problem: problem, isUnprocessed: isRefused)
    }

    fileprivate func sent(_ type: UInt32, on id: Int32) {
        switch type {
        case NGHTTP2_HEADERS.rawValue:
            streams[id]?.headWasSent = true
            noProgressFrames.earn(limits.noProgressFramesPerRequest)
        case NGHTTP2_DATA.rawValue: noProgressFrames.earn(limits.noProgressFramesPerDataFrame)
        default: break
        }
    }

    /// nghttp2 ends a connection whose peer breaks the rules by a GOAWAY of ours.
    fileprivate func sent(goAway code: UInt32) {
        if code != NGHTTP2_NO_ERROR.rawValue, violation == nil {
            violation = "it breaks the rules of HTTP/2: \(errorCodeName(code))"
        }
    }

    fileprivate func note(_ problem: String) { if violation == nil { violation = problem } }
}

extension HeaderFields {
    /// Whether they are those of an interim response (RFC 9110, 15.2).
    fileprivate var isInformational: Bool {
        for field in self where field.name.equals(":status") { return field.value.first == UInt8(ascii: "1") }
        return false
    }
}

private func makeOptions(_ limits: ClientLimits) -> OpaquePointer {
    var options: OpaquePointer?
    guard nghttp2_option_new(&options) == 0, let options else { fatalError("no memory for nghttp2's options") }
    nghttp2_option_set_no_closed_streams(options, 1)
    nghttp2_option_set_no_auto_window_update(options, 1)
    // gRPC lets grpc-message begin and end in spaces.
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(options, 1)
    nghttp2_option_set_max_continuations(options, limits.maxContinuations)
    nghttp2_option_set_max_settings(options, limits.maxSettingsEntries)
    nghttp2_option_set_max_outbound_ack(options, limits.maxOutboundAcknowledgements)
    return options
}

// MARK: Callbacks

// Free functions: closure literals handed to C from an isolated context trap. Members of a frame, a C union, are reached
// by pointer, since Swift would copy all of it.

private func makeClientCallbacks() -> OpaquePointer {
    var callbacks: OpaquePointer?
    guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
        fatalError("no memory for nghttp2's callbacks")
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, onBeginHeaders)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onDataChunk)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onStreamClose)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, onFrameSent)
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, onFrameNotSent)
    nghttp2_session_callbacks_set_error_callback2(callbacks, onError)
    return callbacks
}

private func client(_ user: UnsafeMutableRawPointer?) -> ClientSession {
    Unmanaged.fromOpaque(user!).takeUnretainedValue()
}

private func header(_ frame: UnsafePointer<nghttp2_frame>?) -> nghttp2_frame_hd {
    UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_frame_hd.self).pointee
}

private func endsStream(_ header: nghttp2_frame_hd) -> Bool {
    UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
}

private func onBeginHeaders(
    _: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?
) -> Int32 {
    let client = client(user)
    if let stream = client.streams[header(frame).stream_id] { client.began(headersOn: stream) }
    return 0
}

private func onHeader(
    _: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, name: UnsafePointer<UInt8>?, nameCount: Int,
    value: UnsafePointer<UInt8>?, valueCount: Int, flags: UInt8, user: UnsafeMutableRawPointer?
) -> Int32 {
    let client = client(user)
    guard let stream = client.streams[header(frame).stream_id] else { return 0 }
    let goesOn = client.received(
        UnsafeRawBufferPointer(start: name, count: nameCount), UnsafeRawBufferPointer(start: value, count: valueCount),
        on: stream)
    return goesOn ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
}

private func onDataChunk(
    session: OpaquePointer?, flags: UInt8, id: Int32, bytes: UnsafePointer<UInt8>?, count: Int,
    user: UnsafeMutableRawPointer?
) -> Int32 {
    // A stream that is read slowly must not hold the others of its connection up.
    nghttp2_session_consume_connection(session, count)
    if let stream = client(user).streams[id], !stream.isOver {
        stream.receivedBody(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    return 0
}

private func onFrame(_: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?) -> Int32 {
    let client = client(user)
    let header = header(frame)
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue:
        if let stream = client.streams[header.stream_id] {
            client.receivedHeaders(on: stream, endsStream: endsStream(header))
        }
    case NGHTTP2_DATA.rawValue where endsStream(header):
        if let stream = client.streams[header.stream_id] { client.responseEnded(stream) }
    case NGHTTP2_SETTINGS.rawValue: client.isEstablished = true
    case NGHTTP2_GOAWAY.rawValue:
        let goAway = UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_goaway.self)
        client.received(
            goAway: goAway.pointee.error_code,
            debugData: UnsafeBufferPointer(start: goAway.pointee.opaque_data, count: goAway.pointee.opaque_data_len))
    default: break
    }
    return 0
}

private func onStreamClose(_: OpaquePointer?, id: Int32, code: UInt32, user: UnsafeMutableRawPointer?) -> Int32 {
    client(user).closed(id, code: code)
    return 0
}

private func onFrameSent(
    _: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?
) -> Int32 {
    let header = header(frame)
    if UInt32(header.type) == NGHTTP2_GOAWAY.rawValue {
        let goAway = UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_goaway.self)
        client(user).sent(goAway: goAway.pointee.error_code)
    } else {
        client(user).sent(UInt32(header.type), on: header.stream_id)
    }
    return 0
}

/// Header fields that nghttp2 does not send for their size would be asked for again and again.
private func onFrameNotSent(
    _: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, code: Int32, user: UnsafeMutableRawPointer?
) -> Int32 {
    guard code == NGHTTP2_ERR_FRAME_SIZE_ERROR.rawValue else { return 0 }
    client(user).streams[header(frame).stream_id]?.isUnsendable = true
    return 0
}

/// The library's words for what breaks the protocol.
private func onError(
    _: OpaquePointer?, code: Int32, message: UnsafePointer<CChar>?, count: Int, user: UnsafeMutableRawPointer?
) -> Int32 {
    // Fields that it passes over are none.
    guard code == NGHTTP2_ERR_SETTINGS_EXPECTED.rawValue else { return 0 }
    client(user).note("it does not speak HTTP/2")
    return 0
}

private func readRequestBody(
    _: OpaquePointer?, _: Int32, buffer: UnsafeMutablePointer<UInt8>?, capacity: Int,
    flags: UnsafeMutablePointer<UInt32>?, source: UnsafeMutablePointer<nghttp2_data_source>?,
    _: UnsafeMutableRawPointer?
) -> Int {
    let stream = Unmanaged<ClientStream>.fromOpaque(source!.pointee.ptr!).takeUnretainedValue()
    let count = stream.readBody(into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
    if stream.bodyIsEmpty {
        if stream.requestEnded {
            flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        } else if count == 0 {
            stream.isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
    }
    if count > 0, !stream.isOver { stream.sentBody(count) }
    return count
}
