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

    var isEstablished = false
    var isInsideHeaders = false
    var shutdownWasRead = false
    var refusesNewStreams = false
    var isTerminated = false
    /// Whether the GOAWAY of the termination is in the output.
    var terminationWasSent = false

    // The limits that every frame or field is held against, beside the counts.
    let maxHeaderListBytes: Int
    let abortHeaderListBytes: Int
    let noProgressFramesPerRequest: Int
    var noProgressFrames: TokenBucket
    var ownResets: TokenBucket

    init(resources: SessionResources) {
        self.resources = .passUnretained(resources)
        maxHeaderListBytes = resources.limits.maxHeaderListBytes
        abortHeaderListBytes = maxHeaderListBytes * resources.limits.headerListAbortFactor
        noProgressFramesPerRequest = resources.limits.noProgressFramesPerRequest
        noProgressFrames = TokenBucket(burst: resources.limits.noProgressFrameBurst)
        ownResets = TokenBucket(burst: resources.limits.ownResetBurst)
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

    mutating func terminate() {
        guard !isTerminated, let session else { return }
        isTerminated = true
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM.rawValue)
    }
}
