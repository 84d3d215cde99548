/// What one HTTP/2 connection may ask of the server before it is slowed, refused or closed.
public struct Limits: Sendable, Hashable {
    /// Calls a peer may have open at once; further streams are refused. Bounds memory per connection, and is
    /// well above what a multiplexing client keeps in flight.
    public var maxConcurrentStreams: UInt32 = 256
    /// Bytes of names, values and 32 per field in one header list (RFC 9113, 6.5.2). Bounds the memory that a
    /// few compressed bytes can claim; stock clients send well below 8 KiB.
    public var maxHeaderListBytes = 16 << 10
    /// Times `maxHeaderListBytes` after which a list is no longer answered but reset, so that a header bomb is
    /// not even walked to its end.
    public var headerListAbortFactor = 4
    /// Bytes of one request in flight before the peer must wait for us.
    public var streamWindowBytes: Int32 = 256 << 10
    /// Bytes of all requests of a connection in flight before the peer must wait for us.
    public var connectionWindowBytes: Int32 = 1 << 20
    /// Bytes of HPACK's table of fields in each direction (RFC 7541, 4.2): the protocol's own default. A larger table
    /// lets a byte of a request stand for more, and costs memory on every connection.
    public var headerTableBytes = 4 << 10
    /// Streams a peer may reset in a burst, and per second after it (rapid reset, CVE-2023-44487).
    public var peerResetBurst = 1000
    public var peerResetsPerSecond = 33
    /// Streams we reset because of the peer's errors, in a burst and per second (MadeYouReset, CVE-2025-8671).
    public var ownResetBurst = 100
    public var ownResetsPerSecond = 10
    /// CONTINUATION frames of one header list: with 16 KiB frames far beyond `maxHeaderListBytes`.
    public var maxContinuations = 8
    /// Entries of one SETTINGS frame; the protocol defines fewer than ten.
    public var maxSettingsEntries = 32
    /// PING and SETTINGS acknowledgements waiting to be sent; a peer that reads never has more than a few.
    public var maxOutboundAcknowledgements = 100
    /// Frames that bring no call forward (PING, SETTINGS, WINDOW_UPDATE, PRIORITY, CONTINUATION, tiny DATA, refused
    /// streams, unknown types) in a burst and per second. Requests and answers earn more, so busy clients never meet
    /// this limit.
    public var noProgressFrameBurst = 1000
    public var noProgressFramesPerSecond = 20
    /// What one request earns: room for its WINDOW_UPDATEs and a PING. A DATA frame of an answer earns one.
    public var noProgressFramesPerRequest = 4
    /// Bytes below which a DATA frame that does not end its request brings no call forward: gRPC's prefix of a message
    /// is as long.
    public var minDataFrameBytes = 5
    /// Bytes below which a DATA frame of an answer that the peer's window cut short earns nothing. Clients grant tens
    /// of kilobytes at a time.
    public var minWindowBytes = 1 << 10

    public init() {}
}
