internal import CNghttp2

/// Why a PING was sent, told apart by the eight bytes that the peer sends back: its text in ASCII.
enum PingPurpose: UInt64 {
    /// "shutdown": its answer says that the GOAWAY before it was read.
    case shutdown = 0x7368_7574_646F_776E
    /// "liveness"
    case liveness = 0x6C69_7665_6E65_7373
}

/// What nghttp2's callbacks reach through their user pointer.
struct SessionState {
    /// nil once the session is closed.
    var session: OpaquePointer?
    let resources: Unmanaged<SessionResources>
    /// Not retained: the delegate outlives the session.
    var delegate: Unmanaged<SessionDelegate>!
    /// Where `send_data` puts frames, set during `fill`.
    var output: Unmanaged<OutputBuffer>?

    /// The stream whose header list or frame was last seen: spares a look-up per header field.
    var current: UnsafeMutablePointer<Stream>?
    var openStreams: UnsafeMutablePointer<Stream>?
    var openStreamCount = 0
    var unsentAnswers = 0
    var resetsAfterResponse = 0
    var bodyBytesSent = 0
    var pingsReceived: UInt64 = 0
    var contentFramesSent: UInt64 = 0

    var scanner = FrameScanner()
    private var history = StreamHistory()
    /// The stream that the peer opened last, where its request may still have a body; 0 where not.
    private var openRequest: Int32 = 0
    private var frameType: UInt8 = 0
    /// Frames that have begun, continuations not among them.
    private var framesBegun: UInt64 = 0
    private var headersContinue = false
    private var continuations = 0

    var isEstablished = false
    var shutdownWasRead = false
    var refusesNewStreams = false
    var isTerminated = false
    /// Whether the GOAWAY of the termination is in the output.
    var terminationWasSent = false

    // The limits that every frame or field is held against, beside the counts.
    let maxHeaderListBytes: Int
    let abortHeaderListBytes: Int
    let maxContinuations: Int
    let minDataFrameBytes: Int
    let minWindowBytes: Int
    let noProgressFramesPerRequest: Int
    var noProgressFrames: TokenBucket
    var ownResets: TokenBucket
    var peerResets: TokenBucket

    init(resources: SessionResources) {
        self.resources = .passUnretained(resources)
        maxHeaderListBytes = resources.limits.maxHeaderListBytes
        abortHeaderListBytes = maxHeaderListBytes * resources.limits.headerListAbortFactor
        maxContinuations = resources.limits.maxContinuations
        minDataFrameBytes = resources.limits.minDataFrameBytes
        minWindowBytes = resources.limits.minWindowBytes
        noProgressFramesPerRequest = resources.limits.noProgressFramesPerRequest
        noProgressFrames = TokenBucket(burst: resources.limits.noProgressFrameBurst)
        ownResets = TokenBucket(burst: resources.limits.ownResetBurst)
        peerResets = TokenBucket(burst: resources.limits.peerResetBurst)
    }

    mutating func open(id: Int32) -> UnsafeMutablePointer<Stream> {
        let stream = resources._withUnsafeGuaranteedRef { $0.takeStream(id: id) }
        stream.pointee.previous = nil
        stream.pointee.next = openStreams
        openStreams?.pointee.previous = stream
        openStreams = stream
        openStreamCount &+= 1
        return stream
    }

    /// The end of a stream, already reported to the delegate: unlinked, back to the pool.
    mutating func finish(_ stream: UnsafeMutablePointer<Stream>) {
        let next = stream.pointee.next
        if let previous = stream.pointee.previous { previous.pointee.next = next } else { openStreams = next }
        next?.pointee.previous = stream.pointee.previous
        openStreamCount &-= 1
        if stream.pointee.hasResponse, !stream.pointee.isBodyDeferred { unsentAnswers &-= 1 }
        if stream.pointee.resetsAfterResponse { resetsAfterResponse &-= 1 }
        if current == stream { current = nil }
        if openRequest == stream.pointee.id { openRequest = 0 }
        if !stream.pointee.requestEnded, !stream.pointee.peerIsDone { history.noteEndedByUs(stream.pointee.id) }
        resources._withUnsafeGuaranteedRef { $0.returnStream(stream) }
    }

    mutating func stream(_ id: Int32) -> UnsafeMutablePointer<Stream>? {
        if let current, current.pointee.id == id { return current }
        guard let data = nghttp2_session_get_stream_user_data(session, id) else { return nil }
        let stream = data.assumingMemoryBound(to: Stream.self)
        current = stream
        return stream
    }

    mutating func spendNoProgressFrame() {
        if !noProgressFrames.spend() { terminate() }
    }

    /// Ends the connection: GOAWAY with `code`, and nothing more is read.
    mutating func terminate(_ code: nghttp2_error_code = NGHTTP2_ENHANCE_YOUR_CALM) {
        guard !isTerminated, let session else { return }
        isTerminated = true
        nghttp2_session_terminate_session(session, code.rawValue)
    }
}

// What is decided of a frame before nghttp2 reads it: whether it may come at all, and what it costs.
extension SessionState {
    /// Whether a frame may be read, as far as can be told while nghttp2 has not read those before it; where not, it
    /// is to be judged once it has.
    @inline(__always)
    mutating func admits(_ frame: FrameScanner.Header) -> Bool {
        frameType = frame.type
        if frame.type != UInt8(NGHTTP2_CONTINUATION.rawValue) { framesBegun &+= 1 }
        switch UInt32(frame.type) {
        case NGHTTP2_DATA.rawValue:
            guard frame.stream == openRequest else { return admitsData(frame) }
            if frame.endsStream { openRequest = 0 }
            return true
        case NGHTTP2_HEADERS.rawValue:
            headersContinue = !frame.endsHeaders
            continuations = 0
            guard frame.stream > history.latest, frame.stream & 1 == 1 else { return false }
            history.open(frame.stream)
            openRequest = frame.endsStream ? 0 : frame.stream
            if refusesNewStreams { noteNotTaken(frame.stream) }
            return true
        case NGHTTP2_RST_STREAM.rawValue:
            noteDone(frame.stream)
            return peerResets.spend()
        case NGHTTP2_PRIORITY.rawValue: return frame.stream > 0 && noProgressFrames.spend()
        case NGHTTP2_CONTINUATION.rawValue:
            headersContinue = !frame.endsHeaders
            continuations &+= 1
            return continuations <= maxContinuations && noProgressFrames.spend()
        default: return noProgressFrames.spend()
        }
    }

    /// DATA of a request that is not the last one.
    private mutating func admitsData(_ frame: FrameScanner.Header) -> Bool {
        guard let stream = stream(frame.stream), !stream.pointee.peerIsDone else { return false }
        stream.pointee.peerIsDone = frame.endsStream
        return true
    }

    private mutating func noteDone(_ id: Int32) {
        if id == openRequest { openRequest = 0 }
        stream(id)?.pointee.peerIsDone = true
    }

    /// Decides of a frame that was not admitted, when nghttp2 has read all before it. What passes here nghttp2 answers
    /// or ignores.
    mutating func judge(_ frame: FrameScanner.Header) {
        switch UInt32(frame.type) {
        case NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue: judgeFrameOfRequest(frame)
        case NGHTTP2_RST_STREAM.rawValue: if !peerResets.spend() { terminate() }
        // RFC 9113, 6.3; nghttp2 reads no PRIORITY where it was told that priorities are not used.
        case NGHTTP2_PRIORITY.rawValue where frame.stream == 0: terminate(NGHTTP2_PROTOCOL_ERROR)
        case NGHTTP2_CONTINUATION.rawValue where continuations > maxContinuations: terminate()
        default: spendNoProgressFrame()
        }
    }

    private mutating func judgeFrameOfRequest(_ frame: FrameScanner.Header) {
        guard stream(frame.stream) == nil else {
            if frame.endsStream { noteDone(frame.stream) }
            return
        }
        guard frame.stream <= history.latest, frame.stream & 1 == 1 else { return }
        switch history.fate(of: frame.stream) {
        case .skipped: terminate(NGHTTP2_PROTOCOL_ERROR)
        case .endedByPeer: terminate(NGHTTP2_STREAM_CLOSED)
        case .endedByUs:
            if frame.type == UInt8(NGHTTP2_HEADERS.rawValue) || frame.length < minDataFrameBytes {
                spendNoProgressFrame()
            }
        }
    }

    /// Notes that nghttp2 refused the stream that the peer just opened.
    mutating func noteRefused(_ id: Int32) {
        noteNotTaken(id)
        spendNoProgressFrame()
    }

    private mutating func noteNotTaken(_ id: Int32) {
        history.noteEndedByUs(id)
        if openRequest == id { openRequest = 0 }
    }

    /// The number of the header list, or of any frame but DATA, that has begun and not ended; nil where none has.
    var unfinishedHeaders: UInt64? {
        let isInsideFrame = !scanner.isBetweenFrames && isEstablished && frameType != UInt8(NGHTTP2_DATA.rawValue)
        return headersContinue || isInsideFrame ? framesBegun : nil
    }
}

extension FrameScanner.Header {
    fileprivate var endsStream: Bool { UInt32(flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 }
    fileprivate var endsHeaders: Bool { UInt32(flags) & NGHTTP2_FLAG_END_HEADERS.rawValue != 0 }
}
