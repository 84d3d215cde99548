/// One request and its answer on a connection: pooled, reached through nghttp2's stream_user_data.
public struct Stream {
    /// What the layer above keeps for a stream. It stays with the pooled memory from request to request, so whoever
    /// sets it once finds it again; `SessionResources` hands it to `releaseContext` at the end.
    public var context: UnsafeMutableRawPointer?

    /// The stream's number on its connection.
    public internal(set) var id: Int32 = 0
    /// Whether the peer has sent END_STREAM.
    public internal(set) var requestEnded = false
    /// Whether END_STREAM or RST_STREAM has arrived, though nghttp2 may not have read it yet.
    var peerIsDone = false
    var check = MessageCheck()
    /// Whether the request is malformed, and the stream about to be reset for it.
    var isMalformed = false
    /// Whether a WINDOW_UPDATE for the stream went beyond the largest window.
    var windowOverflowed = false
    /// Whether the header list went beyond `Limits.maxHeaderListBytes`; its fields are then incomplete.
    public internal(set) var headersTooLarge = false
    /// Whether the layer above gives the peer's window back itself (``Session/consume(_:on:)``), as it takes the bytes.
    /// Set it when the header fields arrive.
    public var isConsumedByHand = false

    var log: HeaderLog
    var headerListBytes = 0
    var hasResponse = false
    /// With which code the stream is reset after its answer, where the request has not ended by then.
    var resetCode: UInt32 = 0
    var resetsAfterResponse = false
    /// Whether the answer's header fields are larger than can be sent.
    var isUnsendable = false

    var body: UnsafeRawPointer?
    var bodyCount = 0
    /// Bytes of the body that were sent since it was last set.
    public internal(set) var bodyOffset = 0
    /// Bytes of the body, from `bodyOffset` on, that a DATA frame takes whose header is written: it waits for room in
    /// the output, and cannot be called back.
    public internal(set) var begunBytes = 0
    /// Whether more of the body may come than is there.
    var isBodyOpen = false
    /// Whether nghttp2 waits to be told that there is more.
    var isBodyDeferred = false
    var trailers: FieldBlock?

    /// Neighbours in the session's list of open streams; `next` also links the pool's free list.
    var previous: UnsafeMutablePointer<Stream>?
    var next: UnsafeMutablePointer<Stream>?

    /// The request's header fields.
    public var fields: HeaderFields { log.fields }

    init(logCapacity: Int) { log = HeaderLog(capacity: logCapacity) }

    mutating func prepare(id: Int32) {
        self.id = id
        requestEnded = false
        peerIsDone = false
        check = MessageCheck()
        isMalformed = false
        windowOverflowed = false
        isConsumedByHand = false
        headersTooLarge = false
        log.clear()
        headerListBytes = 0
        hasResponse = false
        resetsAfterResponse = false
        isUnsendable = false
        body = nil
        bodyCount = 0
        bodyOffset = 0
        begunBytes = 0
        isBodyOpen = false
        isBodyDeferred = false
        trailers = nil
    }
}
