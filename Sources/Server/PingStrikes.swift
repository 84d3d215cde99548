internal import FletchRPC

/// Judges how often a client sends PINGs: see ``ClientPingPolicy``.
struct PingStrikes {
    struct Settings {
        let interval: UInt64
        let intervalWithoutCalls: UInt64
        let tolerated: Int

        /// gRPC takes TCP's keepalive time (RFC 1122, 4.2.3.6) where nothing is under way.
        private static let tcpKeepalive = Duration.seconds(2 * 60 * 60)

        init(_ policy: ClientPingPolicy) {
            interval = policy.minInterval.nanoseconds
            intervalWithoutCalls = policy.permitsWithoutCalls ? interval : Self.tcpKeepalive.nanoseconds
            tolerated = policy.maxStrikes
        }
    }

    private var strikes = 0
    private var lastPingAt: UInt64?
    /// Frames with content that the server had sent when the last PING came.
    private var contentFramesSent: UInt64 = 0

    /// Takes note of `count` PINGs that arrived at once.
    ///
    /// - Parameter contentFramesSent: DATA and HEADERS frames that the server has sent on the connection so far.
    /// - Returns: Whether they are too many.
    mutating func received(
        _ count: UInt64, hasCalls: Bool, contentFramesSent: UInt64, now: UInt64, _ settings: Settings
    ) -> Bool {
        if contentFramesSent != self.contentFramesSent {
            self.contentFramesSent = contentFramesSent
            strikes = 0
            lastPingAt = nil
        }
        let interval = hasCalls ? settings.interval : settings.intervalWithoutCalls
        for _ in 0..<count {
            if let lastPingAt, now < lastPingAt.addingClamped(interval) { strikes += 1 }
            lastPingAt = now
            if strikes > settings.tolerated { return true }
        }
        return false
    }
}
