public import FletchRPC
internal import FletchRichErrors

/// Holds each client to a rate of calls and to a number of calls at once; further ones are answered with
/// RESOURCE_EXHAUSTED and when to come back.
///
/// A client is an address without its port (of IPv6 a network, ``Peer/network``), and the limits hold on each loop: a connection stays on one loop, and loops
/// share nothing. Methods of health and reflection are free.
public final class PeerLimits: Interceptor {
    private struct Client {
        var pace = Pace()
        var openCalls = 0

        mutating func admit(
            now: UInt64, interval: UInt64, burst: UInt64, maxConcurrentCalls: Int
        ) throws(RPCError) {
            guard openCalls < maxConcurrentCalls else { throw PeerLimits.tooMany }
            let wait = pace.take(now: now, interval: interval, burst: burst)
            guard wait == 0 else {
                var error = PeerLimits.tooFast
                error.retryDelayMilliseconds = UInt32(clamping: wait / 1_000_000 + 1)
                throw error
            }
            openCalls += 1
        }
    }

    private static let tooFast = RPCError(
        .resourceExhausted, "the client makes more calls a second than it may; slow down",
        details: [.errorInfo("TOO_MANY_CALLS_PER_SECOND")])
    private static let tooMany = RPCError(
        .resourceExhausted, "the client has more calls under way than it may; wait for some of them",
        details: [.errorInfo("TOO_MANY_CONCURRENT_CALLS")], retryDelayMilliseconds: 1000)

    private let interval: UInt64
    private let burst: UInt64
    private let maxConcurrentCalls: Int
    private var exempt = ExemptMethods()
    private var clients: [String: Client] = [:]
    /// Clients that are remembered before those at rest are forgotten.
    private var maxRemembered = PeerLimits.leastRemembered
    private static let leastRemembered = 1024

    /// - Parameters:
    ///   - maxCallsPerSecond: At least 1; as many may come at once after a second of rest. nil: any number.
    ///   - maxConcurrentCalls: At least 1. nil: any number.
    public init(maxCallsPerSecond: Int? = nil, maxConcurrentCalls: Int? = nil) {
        interval = maxCallsPerSecond.map { 1_000_000_000 / UInt64($0) } ?? 0
        burst = UInt64(maxCallsPerSecond ?? 1)
        self.maxConcurrentCalls = maxConcurrentCalls ?? .max
    }

    /// Clients that the limits remember: those with calls under way, or with calls in the last second.
    public var rememberedClients: Int { clients.count }

    public override func callStarted(_ call: InterceptedCall) throws(RPCError) {
        guard !exempt.contains(call) else { return }
        if clients.count >= maxRemembered { forgetClientsAtRest(now: call.startedAt) }
        // Taken out and put back: changing an entry in place would ask the heap for memory.
        var client = clients[call.peer.network] ?? Client()
        try client.admit(
            now: call.startedAt, interval: interval, burst: burst, maxConcurrentCalls: maxConcurrentCalls)
        clients.updateValue(client, forKey: call.peer.network)
    }

    public override func callEnded(_ call: InterceptedCall, _ outcome: CallOutcome) {
        guard !exempt.contains(call) else { return }
        guard var client = clients[call.peer.network] else { return }
        client.openCalls -= 1
        clients.updateValue(client, forKey: call.peer.network)
    }

    private func forgetClientsAtRest(now: UInt64) {
        clients = clients.filter { $0.value.openCalls > 0 || !$0.value.pace.isRested(now: now) }
        maxRemembered = max(Self.leastRemembered, 2 * clients.count)
    }
}
