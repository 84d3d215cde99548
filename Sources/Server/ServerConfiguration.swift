public import FletchEventLoop
public import FletchHTTP2
public import FletchRPC

/// One address that a server listens on.
public struct Listener: Sendable {
    public var address: ListenAddress
    /// What its connections are encrypted with; nil: plaintext HTTP/2 with prior knowledge (h2c).
    public var tls: TLSContextStore?

    public init(_ address: ListenAddress, tls: TLSContextStore? = nil) {
        self.address = address
        self.tls = tls
    }
}

/// How a server listens, and what it grants to peers.
public struct ServerConfiguration: Sendable {
    /// At least one.
    public var listeners: [Listener]
    /// Event loops, each a thread with its own connections; more than the machine's cores gain nothing.
    public var loopCount = 1
    /// Connections that one loop holds at once; further ones are closed at once. About 16 kB each, 45 kB with TLS.
    public var maxConnectionsPerLoop = 10_000
    public var connectionLimits = Limits()
    public var callLimits = CallLimits()
    public var compression = CompressionSettings()
    /// Whether GET and POST of `/` that are no gRPC calls are answered with 200 and a short text, as testers of HTTP/2
    /// (h2spec) need it; they get 405 and 415 else.
    public var plainEndpoint = false
    /// From accepting a connection to the end of its TLS handshake: a few round trips, however bad the network.
    public var handshakeTimeout = Duration.seconds(10)
    /// From accepting a connection, or the end of its TLS handshake, to its HTTP/2 preface and SETTINGS.
    public var prefaceTimeout = Duration.seconds(10)
    /// From the first to the last frame of one header list.
    public var headersTimeout = Duration.seconds(10)
    /// How long a peer may take less than `stallBytes` of what waits for it.
    public var stallTimeout = Duration.seconds(20)
    /// Bytes that count as taking part: a peer that draws an answer byte by byte does not keep its connection.
    public var stallBytes = 1 << 10
    /// After how long without a call a connection is ended, politely. Clients connect again when they need to; what
    /// they left behind would be kept for nothing.
    public var idleTimeout = Duration.seconds(600)
    public var keepalive = KeepaliveConfiguration()
    public var clientPings = ClientPingPolicy()
    public var age = ConnectionAge()
    /// While draining: how long health already says NOT_SERVING before peers are told to go. Calls and connections are
    /// still taken: load balancers that ask for health, or are told of the end by others, look elsewhere in this time.
    public var lameDuckDelay = Duration.zero
    /// How long a peer that was told that its connection ends may take to say that it has read it: calls that it sends
    /// until then are taken. Longer than a round trip to anywhere; a peer that answers waits for one round trip only.
    public var announceTimeout = Duration.seconds(1)
    /// How long a connection on which all is said waits for its peer to close it: closed first by us, it could lose
    /// the last answers on their way.
    public var lingerTimeout = Duration.seconds(1)
    /// While draining, after `lameDuckDelay`: after how long calls that are still open are cut off.
    public var drainTimeout = Duration.seconds(30)
    /// Whether SIGTERM and SIGINT drain the server and SIGUSR1 logs its counters.
    public var handlesSignals = true

    public init(listeners: [Listener]) { self.listeners = listeners }

    /// One listener without TLS.
    public init(address: ListenAddress) { self.init(listeners: [Listener(address)]) }
}

extension Duration {
    /// Whole nanoseconds: none where it is negative, `UInt64.max` where it is longer than they can say.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        let (whole, overflows) = UInt64(max(0, seconds)).multipliedReportingOverflow(by: 1_000_000_000)
        return overflows ? .max : whole.addingClamped(UInt64(max(0, attoseconds) / 1_000_000_000))
    }

    var milliseconds: UInt64 { nanoseconds / 1_000_000 }
}
