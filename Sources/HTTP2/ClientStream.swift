/// One request of ours and its response: a class to inherit from, whose functions hear what happens to it.
///
/// The calls come from within `ClientSession.receive`, `ClientSession.fill` and `ClientSession.close`; resetting the
/// stream from within them is fine, closing the session is not. After ``ended(_:)`` nothing more is heard.
open class ClientStream {
    /// How a stream ended.
    public struct End: Sendable, Hashable {
        /// The error code (RFC 9113, 7) of the reset that ended the stream; nil: the peer ended its response.
        public let resetCode: UInt32?
        /// What went wrong on our side; nil: the peer ended the stream.
        public let problem: Problem?
        /// Whether the peer cannot have begun to work on the request: it may be sent again.
        public let isUnprocessed: Bool
    }

    /// Why a stream ended without the peer's doing.
    public enum Problem: Sendable, Hashable {
        /// The connection is gone, and why.
        case connectionLost(String)
        /// The response's header list is larger than ``ClientLimits/maxHeaderListBytes``.
        case headersTooLarge
        /// The request's header fields are larger than can be sent.
        case requestTooLarge
    }

    /// The stream's number on its connection, 0 before it has one.
    public internal(set) var id: Int32 = 0
    /// Whether nothing more is heard of the stream.
    public internal(set) var isOver = false
    /// Whether the request was ended: nothing more of it may be sent.
    public internal(set) var requestEnded = false

    /// The request's header fields, referred to until the stream is closed.
    var head: FieldBlock?
    /// Whether the request's header fields have left, so that the peer may have seen them.
    var headWasSent = false
    var isUnsendable = false
    var hasResponseHead = false
    var headersTooLarge = false
    var headerListBytes = 0
    var log = HeaderLog(capacity: 512)

    private var pieces: [[UInt8]] = []
    private var firstPiece = 0
    private var offset = 0
    /// Whether nghttp2 waits to be told that there is more of the request.
    var isDeferred = false

    public init() {}

    deinit {
        head?.destroy()
        log.destroy()
    }

    /// The response's header fields, valid during the call; informational responses (1xx) are left out. Where the
    /// response has nothing else, ``ended(_:)`` follows at once.
    open func receivedHead(_ fields: HeaderFields) {}

    /// Bytes of the response's body, valid during the call. ``ClientSession/consume(_:on:)`` lets the peer send as many
    /// more.
    open func receivedBody(_ bytes: UnsafeRawBufferPointer) {}

    /// The response's trailers, valid during the call.
    open func receivedTrailers(_ fields: HeaderFields) {}

    /// So many bytes of the request's body were taken into frames.
    open func sentBody(_ byteCount: Int) {}

    /// The stream is over: the response is complete, or will never be.
    open func ended(_ end: End) {}

    // MARK: The request's body

    func append(_ bytes: [UInt8]) { if !bytes.isEmpty { pieces.append(bytes) } }

    var bodyIsEmpty: Bool { firstPiece == pieces.count }

    /// Moves the next bytes of the body into `room`.
    func readBody(into room: UnsafeMutableRawBufferPointer) -> Int {
        var count = 0
        while count < room.count, !bodyIsEmpty {
            let taken = pieces[firstPiece].withUnsafeBytes { piece in
                let part = UnsafeRawBufferPointer(rebasing: piece[offset...].prefix(room.count - count))
                UnsafeMutableRawBufferPointer(rebasing: room[count...]).copyMemory(from: part)
                return part.count
            }
            count += taken
            offset += taken
            if offset == pieces[firstPiece].count {
                pieces[firstPiece] = []
                firstPiece += 1
                offset = 0
            }
        }
        if bodyIsEmpty {
            pieces.removeAll(keepingCapacity: true)
            firstPiece = 0
        }
        return count
    }

    func dropBody() {
        pieces = []
        firstPiece = 0
        offset = 0
    }

    func end(resetCode: UInt32?, problem: Problem? = nil, isUnprocessed: Bool = false) {
        guard !isOver else { return }
        isOver = true
        dropBody()
        ended(End(resetCode: resetCode, problem: problem, isUnprocessed: isUnprocessed && !hasResponseHead))
    }
}
