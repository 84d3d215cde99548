/// How the server finds out that a silent peer is gone (gRFC A9, server-side keepalive).
public struct KeepaliveConfiguration: Sendable, Hashable {
    /// How long a peer may be silent before it is sent a PING; any byte it sends counts as life. The default is gRPC's
    /// and TCP's own: what is gone is found sooner where there are calls, by their deadlines and `stallTimeout`.
    public var time = Duration.seconds(2 * 60 * 60)
    /// How long a peer may stay silent after the PING before its connection is closed. gRPC's default, many round trips.
    public var timeout = Duration.seconds(20)

    public init() {}
}

/// How often a client may send PINGs (gRFC A8, server enforcement). One that comes sooner is a strike; DATA or HEADERS
/// sent by the server clear all strikes, so that clients that measure the network while they are answered never get any.
/// A strike too many ends the connection with GOAWAY ENHANCE_YOUR_CALM and `too_many_pings`, upon which gRPC clients
/// double their keepalive time.
public struct ClientPingPolicy: Sendable, Hashable {
    /// The least time between two PINGs while calls are open. gRPC's default: a client that needs to know sooner
    /// whether its server lives has deadlines.
    public var minInterval = Duration.seconds(5 * 60)
    /// Whether `minInterval` holds for connections without calls too; else it is two hours for them, as TCP has it,
    /// since nobody waits for anything there.
    public var permitsWithoutCalls = false
    /// Strikes that are forgiven, as in other gRPC servers: a PING may be late on its way, and the next then comes soon.
    public var maxStrikes = 2

    public init() {}
}

/// How long a connection may live (gRFC A9). One that has reached its age is ended by GOAWAY and the client connects
/// anew, perhaps to another server: so load spreads again after servers were added.
public struct ConnectionAge: Sendable, Hashable {
    /// Age at which a connection is ended, made up to 10 % shorter or longer for each, lest all that began together come
    /// back together; nil: never. Off by default, since only a client with several servers to choose from gains by it.
    public var limit: Duration?
    /// How long calls may then go on before they are cut off; nil: as long as they like, as their deadlines do.
    public var grace: Duration?

    public init() {}
}
