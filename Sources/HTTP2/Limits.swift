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
    /// Streams a peer may reset in a burst, and per second after it (rapid reset, CVE-2023-44487).
    public var peerResetBurst: UInt64 = 1000
    public var peerResetsPerSecond: UInt64 = 33
    /// Streams we reset because of the peer's errors, in a burst and per second (MadeYouReset, CVE-2025-8671).
    public var ownResetBurst = 100
    public var ownResetsPerSecond = 10
    /// CONTINUATION frames of one header list: with 16 KiB frames far beyond `maxHeaderListBytes`.
    public var maxContinuations = 8
    /// Entries of one SETTINGS frame; the protocol defines fewer than ten.
    public var maxSettingsEntries = 32
    /// PING and SETTINGS acknowledgements waiting to be sent; a peer that reads never has more than a few.
    public var maxOutboundAcknowledgements = 100
    /// Frames that bring no call forward (PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA, unknown types) in a
    /// burst and per second. Requests and answers earn more, so busy clients never meet this limit.
    public var noProgressFrameBurst = 1000
    public var noProgressFramesPerSecond = 20
    /// What one request, or one DATA frame of an answer, earns: room for its WINDOW_UPDATEs and a PING.
    public var noProgressFramesPerRequest = 4

    public init() {}
}
