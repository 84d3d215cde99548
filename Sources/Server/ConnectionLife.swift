internal import FletchRPC

/// When a judgement takes place. Peers' bytes may lie unread while handlers hold the loop, so there are two times, both
/// monotonic nanoseconds: what happened is marked with the later, and waits are measured to the earlier. A peer is
/// never judged early for bytes that lay unread.
struct Moment {
    let now: UInt64
    /// What had arrived by then has been read.
    let readUntil: UInt64

    /// Whether more than `wait` has passed since `mark`.
    func isLater(than wait: UInt64, since mark: UInt64) -> Bool { readUntil > mark && readUntil - mark > wait }
}

/// What has happened on a connection, as its owner finds it at a judgement.
struct ConnectionActivity {
    /// Whether the peer has sent any bytes since the last judgement.
    var hasReceived = false
    /// Whether the peer's bytes are left unread until it takes what waits for it.
    var isReadingPaused = false
    var isEstablished = false
    /// The number of the header list that has begun and not ended.
    var unfinishedHeaders: UInt64?
    var openCalls = 0
    /// Calls begun so far.
    var startedCalls: UInt64 = 0
    /// Something is to be sent that the peer has not let us send.
    var hasUnsentBytes = false
    /// A count that moves with whatever of it the peer takes.
    var sendProgress: UInt64 = 0
}

/// The life of a connection: hears what happens on it and says what to do. It has no socket and no clock.
///
///     open -> announced -> refusing -> lingering -> closed
///
/// - open: whoever is idle, too old, or drained is announced the end (first GOAWAY, PING).
/// - announced: calls are still taken until the peer has answered the PING, or had time to.
/// - refusing: no more calls are taken (second GOAWAY); those under way are answered, within the grace.
/// - lingering: all is said; the peer has a moment to read it and to close.
///
/// A peer that is late or silent is closed in any phase before lingering.
struct ConnectionLife {
    struct Settings {
        let handshake, preface, headers, stall, idle, announce, linger: UInt64
        let stallBytes: UInt64
        let keepaliveTime, keepaliveTimeout: UInt64
        let age, ageGrace: UInt64
        let pings: PingStrikes.Settings

        init(_ configuration: ServerConfiguration) {
            handshake = configuration.handshakeTimeout.nanoseconds
            preface = configuration.prefaceTimeout.nanoseconds
            headers = configuration.headersTimeout.nanoseconds
            stall = configuration.stallTimeout.nanoseconds
            stallBytes = UInt64(max(1, configuration.stallBytes))
            idle = configuration.idleTimeout.nanoseconds
            announce = configuration.announceTimeout.nanoseconds
            linger = configuration.lingerTimeout.nanoseconds
            keepaliveTime = configuration.keepalive.time.nanoseconds
            keepaliveTimeout = configuration.keepalive.timeout.nanoseconds
            age = configuration.age.limit?.nanoseconds ?? .max
            ageGrace = configuration.age.grace?.nanoseconds ?? .max
            pings = PingStrikes.Settings(configuration.clientPings)
        }
    }

    enum Action: Equatable {
        case sendPing
        /// First GOAWAY, and a PING whose answer says that it was read.
        case announceShutdown
        /// Second GOAWAY.
        case refuseNewCalls
        /// GOAWAY for a peer that sends too many PINGs.
        case calmPeer
        /// Say that nothing more will be sent.
        case finishWriting
        case close(CloseReason)
    }

    enum CloseReason: String {
        case noPreface = "no HTTP/2 preface in time"
        case headersNeverEnd = "header fields did not end in time"
        case stalled = "the peer does not take its answers"
        case keepalive = "the peer does not answer a keepalive PING"
        case ageGrace = "the grace of the connection's age is over"
        case lingered = "the peer had time to close"
    }

    enum Phase: Equatable {
        case open
        case announced(until: UInt64)
        case refusing
        case lingering(until: UInt64)
        case closed
    }

    private let settings: Settings
    private let acceptedAt: UInt64
    private let age: UInt64
    private(set) var phase = Phase.open
    private var pings = PingStrikes()

    private var headersSince: UInt64?
    private var unfinishedHeaders: UInt64?
    private var lastCallAt: UInt64
    private var startedCalls: UInt64 = 0
    private var sendProgress: UInt64 = 0
    private var sendProgressAt: UInt64
    private var lastReceivedAt: UInt64
    private var pingSentAt: UInt64?
    private var cutOffAt = UInt64.max

    /// The life of a connection that begins now.
    ///
    /// - Parameter jitter: Where in its range the connection's largest age is: -1 the shortest, 1 the longest.
    init(_ settings: Settings, acceptedAt: UInt64, jitter: Double) {
        self.settings = settings
        self.acceptedAt = acceptedAt
        age = Self.age(settings.age, jitter: jitter)
        lastCallAt = acceptedAt
        sendProgressAt = acceptedAt
        lastReceivedAt = acceptedAt
    }

    /// `age` made up to 10 % shorter or longer.
    private static func age(_ age: UInt64, jitter: Double) -> UInt64 {
        guard age < .max else { return .max }
        return UInt64(exactly: (Double(age) * (1 + 0.1 * jitter)).rounded()) ?? .max
    }

    // MARK: Events

    /// Whether what the peer sends is still of interest.
    var takesBytes: Bool {
        switch phase {
        case .open, .announced, .refusing: true
        case .lingering, .closed: false
        }
    }

    /// Whether the answer to the PING of the announcement is waited for.
    var isAnnounced: Bool { if case .announced = phase { true } else { false } }

    /// When time alone changes something that must not wait for the next regular judgement.
    var deadline: UInt64? {
        switch phase {
        case .announced(let until), .lingering(let until): until
        case .open, .refusing, .closed: nil
        }
    }

    /// PINGs arrived from the peer.
    ///
    /// - Parameter contentFramesSent: DATA and HEADERS frames sent on the connection so far.
    mutating func received(pings count: UInt64, openCalls: Int, contentFramesSent: UInt64, now: UInt64) -> Action? {
        let areTooMany = pings.received(
            count, hasCalls: openCalls > 0, contentFramesSent: contentFramesSent, now: now, settings.pings)
        return areTooMany && takesBytes ? .calmPeer : nil
    }

    /// The connection is to end: its loop drains.
    mutating func drain(now: UInt64) -> Action? {
        guard phase == .open else { return nil }
        phase = .announced(until: now.addingClamped(settings.announce))
        return .announceShutdown
    }

    /// The peer answered the PING of the announcement.
    mutating func shutdownWasRead() -> Action? {
        guard isAnnounced else { return nil }
        phase = .refusing
        return .refuseNewCalls
    }

    /// Nothing is left to read or to send.
    mutating func finished(now: UInt64) -> Action? {
        guard takesBytes else { return nil }
        phase = .lingering(until: now.addingClamped(settings.linger))
        return .finishWriting
    }

    mutating func closed() { phase = .closed }

    // MARK: Time

    /// What time alone asks for.
    mutating func judge(_ activity: ConnectionActivity, at moment: Moment) -> Action? {
        switch phase {
        case .closed: return nil
        case .lingering(let until): return moment.readUntil >= until ? .close(.lingered) : nil
        case .open, .announced, .refusing: break
        }
        note(activity, at: moment.now)
        if let reason = lateness(activity, at: moment) { return .close(reason) }
        return ending(at: moment) ?? keepalive(at: moment)
    }

    private mutating func note(_ activity: ConnectionActivity, at now: UInt64) {
        if activity.openCalls > 0 || activity.startedCalls != startedCalls {
            lastCallAt = now
            startedCalls = activity.startedCalls
        }
        // A busy peer may be inside of headers at every judgement, of others each time.
        if activity.unfinishedHeaders != unfinishedHeaders {
            unfinishedHeaders = activity.unfinishedHeaders
            headersSince = unfinishedHeaders.map { _ in now }
        }
        let hasMoved =
            activity.sendProgress < sendProgress || activity.sendProgress - sendProgress >= settings.stallBytes
        if hasMoved || !activity.hasUnsentBytes {
            sendProgress = activity.sendProgress
            sendProgressAt = now
        }
        // A peer that is not read cannot show life by sending; whether it takes its answers is `stall`'s affair.
        if activity.hasReceived || activity.isReadingPaused {
            lastReceivedAt = now
            pingSentAt = nil
        }
    }

    private func lateness(_ activity: ConnectionActivity, at moment: Moment) -> CloseReason? {
        if !activity.isEstablished, moment.isLater(than: settings.preface, since: acceptedAt) { return .noPreface }
        if let headersSince, moment.isLater(than: settings.headers, since: headersSince) { return .headersNeverEnd }
        if moment.isLater(than: settings.stall, since: sendProgressAt) { return .stalled }
        if let pingSentAt, moment.isLater(than: settings.keepaliveTimeout, since: pingSentAt) { return .keepalive }
        return moment.readUntil >= cutOffAt ? .ageGrace : nil
    }

    private mutating func ending(at moment: Moment) -> Action? {
        if case .announced(let until) = phase, moment.readUntil >= until { return shutdownWasRead() }
        guard phase == .open else { return nil }
        if moment.isLater(than: age, since: acceptedAt) {
            cutOffAt = moment.now.addingClamped(settings.ageGrace)
            return drain(now: moment.now)
        }
        return moment.isLater(than: settings.idle, since: lastCallAt) ? drain(now: moment.now) : nil
    }

    private mutating func keepalive(at moment: Moment) -> Action? {
        guard pingSentAt == nil, moment.isLater(than: settings.keepaliveTime, since: lastReceivedAt) else { return nil }
        pingSentAt = moment.now
        return .sendPing
    }
}
