internal import CNghttp2

// nghttp2's callbacks: free functions that record what happened and return. Closure literals handed to C from an
// isolated context trap.

private typealias State = UnsafeMutablePointer<SessionState>

private func state(_ user: UnsafeMutableRawPointer?) -> State { user!.assumingMemoryBound(to: SessionState.self) }

// A frame is a C union: Swift copies all of it to read one member through `pointee`, so members are reached by pointer.

private func header(_ frame: UnsafePointer<nghttp2_frame>?) -> UnsafePointer<nghttp2_frame_hd> {
    UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_frame_hd.self)
}

private func headers(_ frame: UnsafePointer<nghttp2_frame>?) -> UnsafePointer<nghttp2_headers> {
    UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_headers.self)
}

func makeCallbacks() -> OpaquePointer {
    var callbacks: OpaquePointer?
    guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
        fatalError("no memory for nghttp2's callbacks")
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, onBeginHeaders)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onDataChunk)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame)
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, onInvalidFrame)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onStreamClose)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, onFrameSent)
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, onFrameNotSent)
    nghttp2_session_callbacks_set_send_data_callback(callbacks, sendBody)
    return callbacks
}

private func onBeginHeaders(_: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?)
    -> Int32
{
    guard headers(frame).pointee.cat == NGHTTP2_HCAT_REQUEST else { return 0 }
    let state = state(user)
    let header = header(frame).pointee
    let stream = state.pointee.open(id: header.stream_id)
    stream.pointee.peerIsDone = endsStream(header)
    nghttp2_session_set_stream_user_data(state.pointee.session, header.stream_id, stream)
    state.pointee.current = stream
    return 0
}

private func onHeader(
    _: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, name: UnsafePointer<UInt8>?, nameCount: Int,
    value: UnsafePointer<UInt8>?, valueCount: Int, flags: UInt8, user: UnsafeMutableRawPointer?
) -> Int32 {
    let state = state(user)
    guard let stream = state.pointee.stream(header(frame).pointee.stream_id), !stream.pointee.isMalformed else {
        return 0
    }
    // What a field costs is RFC 9113's measure (6.5.2).
    stream.pointee.headerListBytes &+= nameCount &+ valueCount &+ 32
    if stream.pointee.headerListBytes > state.pointee.maxHeaderListBytes {
        stream.pointee.headersTooLarge = true
        let abort = stream.pointee.headerListBytes > state.pointee.abortHeaderListBytes
        return abort ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue : 0
    }
    let name = UnsafeRawBufferPointer(start: name, count: nameCount)
    let value = UnsafeRawBufferPointer(start: value, count: valueCount).withoutSurroundingSpace
    // Trailers of a request mean nothing in gRPC: they are counted, checked and dropped.
    let isTrailer = headers(frame).pointee.cat != NGHTTP2_HCAT_REQUEST
    guard isTrailer ? MessageCheck.takesTrailer(name, value) : stream.pointee.check.takes(name, value) else {
        refuseMalformed(state, stream)
        return 0
    }
    if !isTrailer { stream.pointee.log.append(name: name, value: value) }
    return 0
}

/// Resets a stream for its request (RFC 9113, 8.1.1). nghttp2 tells nothing more of it but its end.
private func refuseMalformed(_ state: State, _ stream: UnsafeMutablePointer<Stream>) {
    stream.pointee.isMalformed = true
    nghttp2_submit_rst_stream(
        state.pointee.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.pointee.id, NGHTTP2_PROTOCOL_ERROR.rawValue)
}

private func endsStream(_ header: nghttp2_frame_hd) -> Bool {
    UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
}

private func onDataChunk(
    session: OpaquePointer?, flags: UInt8, id: Int32, bytes: UnsafePointer<UInt8>?, count: Int,
    user: UnsafeMutableRawPointer?
) -> Int32 {
    let state = state(user)
    // A stream that is read slowly must not hold the others of its connection up.
    nghttp2_session_consume_connection(session, count)
    guard let stream = state.pointee.stream(id), !stream.pointee.isMalformed else { return 0 }
    guard stream.pointee.check.takes(bodyBytes: count) else {
        refuseMalformed(state, stream)
        return 0
    }
    if UInt32(flags) & NGHTTP2_FLAG_END_STREAM.rawValue == 0, !stream.pointee.isConsumedByHand {
        nghttp2_session_consume_stream(session, id, count)
    }
    let bytes = UnsafeRawBufferPointer(start: bytes, count: count)
    state.pointee.delegate._withUnsafeGuaranteedRef { $0.session(received: bytes, on: stream) }
    return 0
}

private func onFrame(_: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?) -> Int32 {
    let state = state(user)
    let header = header(frame).pointee
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue: receivedHeaders(state, header, headers(frame).pointee.cat)
    case NGHTTP2_DATA.rawValue:
        if endsStream(header) {
            receivedEnd(state, id: header.stream_id)
        } else if header.length &- dataPadding(frame) < state.pointee.minDataFrameBytes {
            state.pointee.spendNoProgressFrame()
        }
    case NGHTTP2_RST_STREAM.rawValue: state.pointee.stream(header.stream_id)?.pointee.peerIsDone = true
    case NGHTTP2_SETTINGS.rawValue: state.pointee.isEstablished = true
    case NGHTTP2_PING.rawValue: receivedPing(state, header, frame)
    default: break
    }
    return state.pointee.isTerminated ? NGHTTP2_ERR_CALLBACK_FAILURE.rawValue : 0
}

private func onInvalidFrame(
    _: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, code: Int32, user: UnsafeMutableRawPointer?
) -> Int32 {
    let state = state(user)
    let id = header(frame).pointee.stream_id
    switch nghttp2_error(rawValue: code) {
    case NGHTTP2_ERR_REFUSED_STREAM: state.pointee.noteRefused(id)
    case NGHTTP2_ERR_FLOW_CONTROL: state.pointee.stream(id)?.pointee.windowOverflowed = true
    default: break
    }
    return 0
}

private func receivedPing(_ state: State, _ header: nghttp2_frame_hd, _ frame: UnsafePointer<nghttp2_frame>?) {
    guard UInt32(header.flags) & NGHTTP2_FLAG_ACK.rawValue != 0 else {
        state.pointee.pingsReceived &+= 1
        return
    }
    let ping = UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_ping.self)
    let payload = UInt64(bigEndian: withUnsafeBytes(of: ping.pointee.opaque_data) { $0.loadUnaligned(as: UInt64.self) })
    if payload == PingPurpose.shutdown.rawValue { state.pointee.shutdownWasRead = true }
}

private func dataPadding(_ frame: UnsafePointer<nghttp2_frame>?) -> Int {
    UnsafeRawPointer(frame!).assumingMemoryBound(to: nghttp2_data.self).pointee.padlen
}

private func receivedHeaders(_ state: State, _ header: nghttp2_frame_hd, _ category: nghttp2_headers_category) {
    guard !state.pointee.isTerminated, let stream = state.pointee.stream(header.stream_id) else { return }
    let isRequest = category == NGHTTP2_HCAT_REQUEST
    let ended = endsStream(header)
    guard stream.pointee.headersTooLarge || (isRequest ? stream.pointee.check.isRequest : ended) else {
        refuseMalformed(state, stream)
        return
    }
    if isRequest {
        state.pointee.noProgressFrames.earn(state.pointee.noProgressFramesPerRequest)
        stream.pointee.requestEnded = ended
        state.pointee.delegate._withUnsafeGuaranteedRef { $0.session(receivedHeadersOn: stream) }
    }
    if ended { receivedEnd(state, id: stream.pointee.id) }
}

private func receivedEnd(_ state: State, id: Int32) {
    guard !state.pointee.isTerminated, let stream = state.pointee.stream(id) else { return }
    stream.pointee.requestEnded = true
    guard stream.pointee.check.isComplete else {
        refuseMalformed(state, stream)
        return
    }
    state.pointee.delegate._withUnsafeGuaranteedRef { $0.session(receivedEndOn: stream) }
}

private func onStreamClose(_: OpaquePointer?, id: Int32, code: UInt32, user: UnsafeMutableRawPointer?) -> Int32 {
    let state = state(user)
    guard let stream = state.pointee.stream(id) else { return 0 }
    state.pointee.delegate._withUnsafeGuaranteedRef { $0.session(closed: stream) }
    state.pointee.finish(stream)
    return 0
}

private func onFrameSent(session: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?)
    -> Int32
{
    let state = state(user)
    let header = header(frame).pointee
    switch UInt32(header.type) {
    // Leave to send on: a peer that uploads may ask for our life, too.
    case NGHTTP2_WINDOW_UPDATE.rawValue: state.pointee.contentFramesSent &+= 1
    case NGHTTP2_HEADERS.rawValue:
        state.pointee.contentFramesSent &+= 1
        guard state.pointee.resetsAfterResponse > 0, UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0,
            let stream = state.pointee.stream(header.stream_id), stream.pointee.resetsAfterResponse
        else { break }
        stream.pointee.resetsAfterResponse = false
        state.pointee.resetsAfterResponse &-= 1
        if !stream.pointee.requestEnded {
            nghttp2_submit_rst_stream(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), header.stream_id, stream.pointee.resetCode)
        }
    case NGHTTP2_RST_STREAM.rawValue: sentReset(state, id: header.stream_id, code: frame!.pointee.rst_stream.error_code)
    case NGHTTP2_GOAWAY.rawValue:
        // Not that of an announcement before it.
        if state.pointee.isTerminated, frame!.pointee.goaway.error_code != NGHTTP2_NO_ERROR.rawValue {
            state.pointee.terminationWasSent = true
        }
    default: break
    }
    return 0
}

/// An answer whose header fields nghttp2 does not send for their size would leave its stream open for ever.
private func onFrameNotSent(
    session: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, code: Int32, user: UnsafeMutableRawPointer?
) -> Int32 {
    let header = header(frame).pointee
    guard code == NGHTTP2_ERR_FRAME_SIZE_ERROR.rawValue, let stream = state(user).pointee.stream(header.stream_id)
    else { return 0 }
    stream.pointee.isUnsendable = true
    return nghttp2_submit_rst_stream(
        session, UInt8(NGHTTP2_FLAG_NONE.rawValue), header.stream_id, NGHTTP2_INTERNAL_ERROR.rawValue)
}

private func sentReset(_ state: State, id: Int32, code: UInt32) {
    switch nghttp2_error_code(rawValue: code) {
    // Ends of our own making, and streams that were never opened.
    case NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM: break
    case NGHTTP2_INTERNAL_ERROR where state.pointee.stream(id)?.pointee.isUnsendable == true: break
    // Windows that overflow by SETTINGS end the connection (RFC 9113, 6.9.2); nghttp2 resets every stream.
    case NGHTTP2_FLOW_CONTROL_ERROR where state.pointee.stream(id)?.pointee.windowOverflowed != true:
        state.pointee.terminate(NGHTTP2_FLOW_CONTROL_ERROR)
    default: if !state.pointee.ownResets.spend() { state.pointee.terminate() }
    }
}

/// Says how much of an answer's body the next DATA frame takes; the trailers follow the last of it.
func readBody(
    session: OpaquePointer?, id: Int32, buffer: UnsafeMutablePointer<UInt8>?, capacity: Int,
    flags: UnsafeMutablePointer<UInt32>?, source: UnsafeMutablePointer<nghttp2_data_source>?,
    user: UnsafeMutableRawPointer?
) -> Int {
    let stream = source!.pointee.ptr!.assumingMemoryBound(to: Stream.self)
    let rest = stream.pointee.bodyCount &- stream.pointee.bodyOffset
    flags!.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
    stream.pointee.begunBytes = min(rest, capacity)
    guard rest <= capacity else { return capacity }
    if stream.pointee.isBodyOpen {
        guard rest == 0 else { return rest }
        stream.pointee.isBodyDeferred = true
        state(user).pointee.unsentAnswers &-= 1
        return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
    flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
    guard let trailers = stream.pointee.trailers?.fields else { return rest }
    flags!.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
    let code = nghttp2_submit_trailer(session, id, trailers.baseAddress, trailers.count)
    return code == 0 ? rest : Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
}

/// Writes one DATA frame straight from the answer's memory.
private func sendBody(
    _: OpaquePointer?, frame: UnsafeMutablePointer<nghttp2_frame>?, header: UnsafePointer<UInt8>?, count: Int,
    source: UnsafeMutablePointer<nghttp2_data_source>?, user: UnsafeMutableRawPointer?
) -> Int32 {
    let state = state(user)
    let stream = source!.pointee.ptr!.assumingMemoryBound(to: Stream.self)
    return state.pointee.output!._withUnsafeGuaranteedRef { output in
        guard !output.isFull else { return NGHTTP2_ERR_WOULDBLOCK.rawValue }
        output.append(header!, count: frameHeaderBytes)
        stream.pointee.begunBytes = 0
        guard count > 0 else { return 0 }
        output.append(stream.pointee.body! + stream.pointee.bodyOffset, count: count)
        stream.pointee.bodyOffset &+= count
        state.pointee.bodyBytesSent &+= count
        // A frame that a tiny window cut short earns nothing: it would pay for the next of its kind.
        if count >= state.pointee.minWindowBytes || stream.pointee.bodyOffset == stream.pointee.bodyCount {
            state.pointee.noProgressFrames.earn(1)
        }
        if stream.pointee.isBodyOpen {
            state.pointee.delegate._withUnsafeGuaranteedRef { $0.session(sentBodyOn: stream) }
        }
        state.pointee.contentFramesSent &+= 1
        return 0
    }
}

/// Every HTTP/2 frame begins with nine bytes (RFC 9113, 4.1).
private let frameHeaderBytes = 9
