public import EventLoop
public import HTTP2
public import RPC

/// How a server listens, and what it grants to peers.
public struct ServerConfiguration: Sendable {
    public var address: ListenAddress
    /// Event loops, each a thread with its own connections; more than the machine's cores gain nothing.
    public var loopCount = 1
    /// Connections that one loop holds at once; further ones are closed at once. About 20 kB each.
    public var maxConnectionsPerLoop = 10_000
    public var connectionLimits = Limits()
    public var callLimits = CallLimits()
    public var compression = CompressionSettings()
    /// From accepting a connection to its HTTP/2 preface and SETTINGS.
    public var prefaceTimeout = Duration.seconds(10)
    /// From the first to the last frame of one header list.
    public var headersTimeout = Duration.seconds(10)
    /// How long a peer may take nothing of what is sent to it.
    public var stallTimeout = Duration.seconds(20)
    /// After how long without a call a connection is ended, politely.
    public var idleTimeout = Duration.seconds(600)
    /// While draining: how long a peer may take to read that the server is about to end.
    public var announceTimeout = Duration.seconds(2)
    /// While draining: after how long calls that are still open are cut off.
    public var drainTimeout = Duration.seconds(30)
    /// Whether SIGTERM and SIGINT drain the server and SIGUSR1 logs its counters.
    public var handlesSignals = true

    public init(address: ListenAddress) { self.address = address }
}

extension Duration {
    /// Whole nanoseconds, not negative.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds) / 1_000_000_000)
    }

    var milliseconds: UInt64 { nanoseconds / 1_000_000 }
}
