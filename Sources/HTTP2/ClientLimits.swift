/// What one HTTP/2 connection to a server may ask of us before it is closed.
public struct ClientLimits: Sendable, Hashable {
    /// Bytes of names, values and 32 per field in one header list of a response (RFC 9113, 6.5.2): twice the 8 KiB that
    /// stock clients take. A response beyond is reset.
    public var maxHeaderListBytes = 16 << 10
    /// Bytes of one response in flight before the server must wait for its reader.
    public var streamWindowBytes: Int32 = 256 << 10
    /// Bytes of all responses of a connection in flight before the server must wait for us.
    public var connectionWindowBytes: Int32 = 4 << 20
    /// CONTINUATION frames of one header list: with 16 KiB frames far beyond `maxHeaderListBytes`.
    public var maxContinuations = 8
    /// Entries of one SETTINGS frame; the protocol defines fewer than ten.
    public var maxSettingsEntries = 32
    /// PING and SETTINGS acknowledgements waiting to be sent.
    public var maxOutboundAcknowledgements = 100
    /// Frames that bring no response forward (all but DATA with at least a message's prefix), in a burst and per second.
    public var noProgressFrameBurst = 1000
    public var noProgressFramesPerSecond = 200
    /// What a request earns of them: header fields, trailers, WINDOW_UPDATEs, a reset, PINGs that measure.
    public var noProgressFramesPerRequest = 8
    /// What a DATA frame of a request earns: WINDOW_UPDATEs, and PINGs that measure.
    public var noProgressFramesPerDataFrame = 4
    /// Bytes below which a DATA frame brings no response forward: gRPC's prefix of a message is as long.
    public var minDataFrameBytes = 5

    public init() {}
}
