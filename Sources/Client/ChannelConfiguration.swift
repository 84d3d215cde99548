public import FletchTLS

/// How a channel connects, and what it takes.
public struct ChannelConfiguration: Sendable {
    /// Whom to trust and what to show; nil: no encryption.
    public var tls: TLSClientSettings?
    /// What requests say as `:authority`; nil: the channel's target, `localhost` for Unix domain sockets.
    public var authority: String?
    /// How long making a connection may take: the name's addresses, one after the other, and TLS.
    public var connectTimeout = Duration.seconds(20)
    /// The most bytes that a response message may have, packed and unpacked: what other gRPC clients default to.
    public var maxResponseBytes = 4 << 20
    /// Whether, and when, a connection that is silent during calls is asked for a sign of life; nil: never.
    public var keepalive: Keepalive?

    /// PINGs on a silent connection. Servers end connections that ping more often than they like; five minutes is what
    /// they take by default.
    public struct Keepalive: Sendable {
        /// How long a connection with open calls may be silent before it is asked.
        public var time: Duration
        /// How long the answer may take before the connection is given up.
        public var timeout: Duration

        public init(time: Duration = .seconds(300), timeout: Duration = .seconds(20)) {
            self.time = time
            self.timeout = timeout
        }
    }

    public init(tls: TLSClientSettings? = nil) { self.tls = tls }
}
