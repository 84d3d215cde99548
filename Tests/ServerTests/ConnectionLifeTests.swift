import FletchEventLoop
import Testing

@testable import FletchServer

private func configuration(_ configure: (inout ServerConfiguration) -> Void = { _ in }) -> ServerConfiguration {
    var configuration = ServerConfiguration(address: try! ListenAddress("127.0.0.1:0"))
    configuration.prefaceTimeout = .seconds(10)
    configuration.headersTimeout = .seconds(5)
    configuration.stallTimeout = .seconds(20)
    configuration.idleTimeout = .seconds(600)
    configuration.announceTimeout = .seconds(2)
    configuration.lingerTimeout = .seconds(1)
    configuration.keepalive.time = .seconds(100)
    configuration.keepalive.timeout = .seconds(20)
    configure(&configuration)
    return configuration
}

private func seconds(_ count: Double) -> UInt64 { UInt64(count * 1e9) }

/// A connection's life under a clock that the test turns, in seconds from the connection's beginning.
private struct Simulation {
    var life: ConnectionLife
    var activity = ConnectionActivity(isEstablished: true)

    /// Far from zero, as a real clock is.
    private static let beginning = seconds(1_000_000)

    init(jitter: Double = -1, _ configure: (inout ServerConfiguration) -> Void = { _ in }) {
        life = ConnectionLife(
            ConnectionLife.Settings(configuration(configure)), acceptedAt: Self.beginning, jitter: jitter)
    }

    static func time(_ time: Double) -> UInt64 { beginning + seconds(time) }

    /// Judges at `time`; `readUntil` is where the loop last began to read, if that is earlier.
    mutating func judge(_ time: Double, readUntil: Double? = nil, received: Bool = false) -> ConnectionLife.Action? {
        activity.hasReceived = received
        return life.judge(
            activity, at: Moment(now: Self.time(time), readUntil: Self.time(readUntil ?? time)))
    }

    mutating func pings(_ count: UInt64, at time: Double, contentFramesSent: UInt64 = 0, openCalls: Int = 1)
        -> ConnectionLife.Action?
    {
        life.received(
            pings: count, openCalls: openCalls, contentFramesSent: contentFramesSent, now: Self.time(time))
    }

    mutating func drain(_ time: Double) -> ConnectionLife.Action? { life.drain(now: Self.time(time)) }
    mutating func finished(_ time: Double) -> ConnectionLife.Action? { life.finished(now: Self.time(time)) }
}

/// A connection in each of its phases, reached at second 0.
private enum PhaseName: CaseIterable {
    case open, announced, refusing, lingering, closed

    func simulation(_ configure: (inout ServerConfiguration) -> Void = { _ in }) -> Simulation {
        var simulation = Simulation(configure)
        if self == .announced || self == .refusing { _ = simulation.drain(0) }
        if self == .refusing { _ = simulation.life.shutdownWasRead() }
        if self == .lingering { _ = simulation.finished(0) }
        if self == .closed { simulation.life.closed() }
        return simulation
    }
}

/// Every phase with every event: what is to be done, and the phase after it.
@Suite struct ConnectionLifeTransitionTests {
    @Test(arguments: PhaseName.allCases) private func drain(_ phase: PhaseName) {
        var simulation = phase.simulation()
        let before = simulation.life.phase
        let action = simulation.drain(7)
        #expect(action == (phase == .open ? .announceShutdown : nil))
        #expect(simulation.life.phase == (phase == .open ? .announced(until: Simulation.time(9)) : before))
    }

    @Test(arguments: PhaseName.allCases) private func answerToTheAnnouncement(_ phase: PhaseName) {
        var simulation = phase.simulation()
        let before = simulation.life.phase
        #expect(simulation.life.isAnnounced == (phase == .announced))
        #expect(simulation.life.shutdownWasRead() == (phase == .announced ? .refuseNewCalls : nil))
        #expect(simulation.life.phase == (phase == .announced ? .refusing : before))
    }

    @Test(arguments: PhaseName.allCases) private func endOfTheAnnouncement(_ phase: PhaseName) {
        var simulation = phase.simulation { $0.lingerTimeout = .seconds(50) }
        let before = simulation.life.phase
        #expect(simulation.judge(1.9) == nil)
        #expect(simulation.life.phase == before)
        #expect(simulation.judge(2) == (phase == .announced ? .refuseNewCalls : nil))
        #expect(simulation.life.phase == (phase == .announced ? .refusing : before))
        #expect(simulation.judge(3) == nil)
    }

    @Test(arguments: PhaseName.allCases) private func allIsSaid(_ phase: PhaseName) {
        var simulation = phase.simulation()
        let before = simulation.life.phase
        let lives = phase != .lingering && phase != .closed
        #expect(simulation.life.takesBytes == lives)
        #expect(simulation.finished(7) == (lives ? .finishWriting : nil))
        #expect(simulation.life.phase == (lives ? .lingering(until: Simulation.time(8)) : before))
        #expect(!simulation.life.takesBytes)
    }

    @Test(arguments: PhaseName.allCases) private func endOfTheLingering(_ phase: PhaseName) {
        var simulation = phase.simulation()
        #expect(simulation.judge(0.9) == nil)
        #expect(simulation.judge(1) == (phase == .lingering ? .close(.lingered) : nil))
    }

    @Test(arguments: PhaseName.allCases) private func tooManyPings(_ phase: PhaseName) {
        var simulation = phase.simulation()
        let lives = phase != .lingering && phase != .closed
        #expect(simulation.pings(3, at: 0) == nil)
        #expect(simulation.pings(1, at: 0) == (lives ? .calmPeer : nil))
    }

    @Test(arguments: PhaseName.allCases) private func lateness(_ phase: PhaseName) {
        let lives = phase != .lingering && phase != .closed
        func expectClose(
            _ reason: ConnectionLife.CloseReason, _ activity: ConnectionActivity, notYet: Double, late: Double,
            location: SourceLocation = #_sourceLocation
        ) {
            var simulation = phase.simulation {
                $0.lingerTimeout = .seconds(500)
                $0.announceTimeout = .seconds(500)
            }
            simulation.activity = activity
            #expect(simulation.judge(0) == nil, sourceLocation: location)
            let before = simulation.judge(notYet)
            #expect(before == nil || before == .sendPing, sourceLocation: location)
            #expect(simulation.judge(late) == (lives ? .close(reason) : nil), sourceLocation: location)
        }
        expectClose(.noPreface, ConnectionActivity(), notYet: 10, late: 10.1)
        expectClose(
            .headersNeverEnd, ConnectionActivity(isEstablished: true, unfinishedHeaders: 7), notYet: 5, late: 5.1)
        expectClose(.stalled, ConnectionActivity(isEstablished: true, hasUnsentBytes: true), notYet: 20, late: 20.1)
        expectClose(.keepalive, ConnectionActivity(isEstablished: true), notYet: 101, late: 121.1)
    }

    @Test(arguments: PhaseName.allCases) private func idle(_ phase: PhaseName) {
        var simulation = phase.simulation {
            $0.lingerTimeout = .seconds(1000)
            $0.announceTimeout = .seconds(1000)
        }
        #expect(simulation.judge(600, received: true) == nil)
        #expect(simulation.judge(600.1, received: true) == (phase == .open ? .announceShutdown : nil))
    }

    @Test(arguments: PhaseName.allCases) private func age(_ phase: PhaseName) {
        var simulation = phase.simulation {
            $0.age.limit = .seconds(100)
            $0.lingerTimeout = .seconds(1000)
            $0.announceTimeout = .seconds(1000)
        }
        // The shortest age: 10 % less.
        #expect(simulation.judge(90, received: true) == nil)
        #expect(simulation.judge(90.1, received: true) == (phase == .open ? .announceShutdown : nil))
        // Without a grace, calls go on.
        #expect(simulation.judge(500, received: true) == nil)
    }
}

@Suite struct ConnectionLifeTests {
    // MARK: Pace

    @Test func doesNothingToAConnectionThatIsUsed() {
        var simulation = Simulation()
        for second in 0..<5000 {
            simulation.activity.startedCalls += 1
            simulation.activity.sendProgress += 1 << 10
            simulation.activity.hasUnsentBytes = second.isMultiple(of: 2)
            simulation.activity.unfinishedHeaders = UInt64(second)
            #expect(simulation.judge(Double(second), received: true) == nil)
        }
        #expect(simulation.life.deadline == nil)
    }

    @Test func measuresHeadersFromTheirBeginning() {
        var simulation = Simulation()
        for second in stride(from: 0.0, to: 40, by: 4) {
            simulation.activity.unfinishedHeaders = 7
            #expect(simulation.judge(second) == nil)
            #expect(simulation.judge(second + 2) == nil)
            simulation.activity.unfinishedHeaders = nil
            #expect(simulation.judge(second + 3) == nil)
        }
    }

    @Test func closesAPeerThatTakesAByteNowAndThen() {
        var simulation = Simulation()
        simulation.activity.hasUnsentBytes = true
        var action: ConnectionLife.Action?
        for second in stride(from: 0.0, to: 30, by: 1) where action == nil {
            simulation.activity.sendProgress += 10
            action = simulation.judge(second, received: true)
        }
        #expect(action == .close(.stalled))
    }

    @Test func forgivesASlowReaderThatGetsOn() {
        var simulation = Simulation()
        simulation.activity.hasUnsentBytes = true
        for second in stride(from: 0.0, to: 100, by: 10) {
            simulation.activity.sendProgress += 1 << 10
            #expect(simulation.judge(second, received: true) == nil)
        }
        #expect(simulation.judge(110, received: true) == nil)
        #expect(simulation.judge(111, received: true) == .close(.stalled))
    }

    @Test func judgesByWhatWasReadWhenTheLoopWasHeld() {
        var simulation = Simulation()
        simulation.activity.isEstablished = false
        #expect(simulation.judge(1) == nil)
        // Handlers held the loop for a minute: the preface may lie unread.
        #expect(simulation.judge(61, readUntil: 1) == nil)
        // The loop has read since, and it was there.
        simulation.activity.isEstablished = true
        #expect(simulation.judge(62, readUntil: 61, received: true) == nil)

        simulation.activity.unfinishedHeaders = 7
        #expect(simulation.judge(63) == nil)
        #expect(simulation.judge(123, readUntil: 63) == nil)
        simulation.activity.unfinishedHeaders = nil
        #expect(simulation.judge(124) == nil)

        #expect(simulation.drain(130) == .announceShutdown)
        #expect(simulation.judge(190, readUntil: 131) == nil)
        #expect(simulation.judge(190, readUntil: 132) == .refuseNewCalls)
    }

    @Test func marksWhatItReadAfterAStallByTheLaterTime() {
        var simulation = Simulation()
        #expect(simulation.judge(1, received: true) == nil)
        // Read at 200, sent at any time since 1: the peer counts as alive at 200.
        #expect(simulation.judge(200, readUntil: 199, received: true) == nil)
        #expect(simulation.judge(300) == nil)
        #expect(simulation.judge(300.1) == .sendPing)
    }

    // MARK: Keepalive

    @Test func pingsOnlyASilentPeer() {
        var simulation = Simulation()
        simulation.activity.openCalls = 1
        for second in stride(from: 0.0, through: 500, by: 50) {
            #expect(simulation.judge(second, received: true) == nil)
        }
        #expect(simulation.judge(600) == nil)
        #expect(simulation.judge(600.1) == .sendPing)
    }

    @Test func takesAnyBytesForLife() {
        var simulation = Simulation()
        simulation.activity.openCalls = 1
        #expect(simulation.judge(101) == .sendPing)
        #expect(simulation.judge(120) == nil, "one PING is enough")
        #expect(simulation.judge(120.9, received: true) == nil)
        #expect(simulation.judge(200) == nil)
        #expect(simulation.judge(221) == .sendPing)
        #expect(simulation.judge(241.1) == .close(.keepalive))
    }

    @Test func doesNotPingAPeerThatIsNotRead() {
        var simulation = Simulation()
        simulation.activity.openCalls = 1
        simulation.activity.isReadingPaused = true
        simulation.activity.hasUnsentBytes = true
        for second in 0..<300 {
            simulation.activity.sendProgress += 1 << 10
            #expect(simulation.judge(Double(second)) == nil)
        }
    }

    @Test func looksForLifeUntilTheEnd() {
        var simulation = Simulation { $0.announceTimeout = .seconds(1) }
        simulation.activity.openCalls = 1
        #expect(simulation.drain(0) == .announceShutdown)
        #expect(simulation.judge(1) == .refuseNewCalls)
        #expect(simulation.judge(101) == .sendPing)
        #expect(simulation.judge(122) == .close(.keepalive))
    }

    // MARK: Client PINGs

    @Test func forgivesTwoStrikes() {
        var simulation = Simulation()
        // The first PING is free; then two come too soon.
        for second in [0.0, 10, 20] { #expect(simulation.pings(1, at: second) == nil) }
        #expect(simulation.pings(1, at: 30) == .calmPeer)
    }

    @Test func doesNotStrikeAtTheInterval() {
        var simulation = Simulation()
        for turn in 0..<100 { #expect(simulation.pings(1, at: Double(turn) * 300) == nil) }
    }

    @Test func measuresFromTheLastPingEvenWhereItWasAStrike() {
        var simulation = Simulation()
        #expect(simulation.pings(1, at: 0) == nil)
        #expect(simulation.pings(1, at: 299) == nil)
        #expect(simulation.pings(1, at: 400) == nil)
        #expect(simulation.pings(1, at: 500) == .calmPeer)
    }

    @Test func keepsStrikesUntilContentIsSent() {
        var simulation = Simulation()
        for second in [0.0, 10, 20] { #expect(simulation.pings(1, at: second) == nil) }
        #expect(simulation.pings(1, at: 1000) == nil, "in time, but the strikes stay")
        #expect(simulation.pings(1, at: 1001) == .calmPeer)
    }

    @Test func clearsStrikesWhenContentIsSent() {
        var simulation = Simulation()
        for turn in 0..<1000 {
            #expect(simulation.pings(3, at: Double(turn), contentFramesSent: UInt64(turn)) == nil)
        }
        #expect(simulation.pings(1, at: 1000, contentFramesSent: 999) == .calmPeer)
    }

    @Test func grantsFewerPingsWithoutCalls() {
        var simulation = Simulation()
        #expect(simulation.pings(1, at: 0, openCalls: 0) == nil)
        #expect(simulation.pings(1, at: 7200, openCalls: 0) == nil)
        for second in [7800.0, 8400] { #expect(simulation.pings(1, at: second, openCalls: 0) == nil) }
        #expect(simulation.pings(1, at: 9000, openCalls: 0) == .calmPeer)

        var permitting = Simulation { $0.clientPings.permitsWithoutCalls = true }
        for turn in 0..<100 { #expect(permitting.pings(1, at: Double(turn) * 300, openCalls: 0) == nil) }
    }

    @Test func letsThePolicyBeSet() {
        var strict = Simulation {
            $0.clientPings.maxStrikes = 0
            $0.clientPings.minInterval = .seconds(2)
        }
        #expect(strict.pings(1, at: 0) == nil)
        #expect(strict.pings(1, at: 2) == nil)
        #expect(strict.pings(1, at: 3.9) == .calmPeer)
    }

    // MARK: Idle

    @Test func isNotIdleWhileCallsAreOpenOrBegin() {
        var simulation = Simulation()
        simulation.activity.openCalls = 1
        #expect(simulation.judge(1000, received: true) == nil)
        simulation.activity.openCalls = 0
        #expect(simulation.judge(1600, received: true) == nil)
        simulation.activity.startedCalls = 1
        #expect(simulation.judge(1700, received: true) == nil)
        #expect(simulation.judge(2300, received: true) == nil)
        #expect(simulation.judge(2300.1, received: true) == .announceShutdown)
    }

    // MARK: Age

    @Test func drawsAnAgeTenPercentAround() {
        var shortest = Simulation(jitter: -1) { $0.age.limit = .seconds(100) }
        var longest = Simulation(jitter: 1) { $0.age.limit = .seconds(100) }
        #expect(shortest.judge(90, received: true) == nil)
        #expect(shortest.judge(90.1, received: true) == .announceShutdown)
        #expect(longest.judge(109.9, received: true) == nil)
        #expect(longest.judge(110.1, received: true) == .announceShutdown)
    }

    @Test func livesForeverByDefaultAndWithAnAgeBeyondAllClocks() {
        for age in [nil, Duration.seconds(Int64.max), .seconds(18_000_000_000)] {
            var simulation = Simulation(jitter: 1) { $0.age.limit = age }
            simulation.activity.openCalls = 1
            #expect(simulation.judge(1e9, received: true) == nil)
        }
    }

    @Test func cutsOffWhenTheGraceIsOver() {
        var simulation = Simulation {
            $0.age.limit = .seconds(100)
            $0.age.grace = .seconds(30)
        }
        simulation.activity.openCalls = 1
        #expect(simulation.judge(95, received: true) == .announceShutdown)
        #expect(simulation.life.shutdownWasRead() == .refuseNewCalls)
        #expect(simulation.judge(124.9, received: true) == nil)
        #expect(simulation.judge(125, received: true) == .close(.ageGrace))
    }

    @Test func givesNoGraceOfAgeToADrain() {
        var simulation = Simulation {
            $0.age.limit = .seconds(100)
            $0.age.grace = .seconds(30)
        }
        simulation.activity.openCalls = 1
        #expect(simulation.drain(10) == .announceShutdown)
        #expect(simulation.life.shutdownWasRead() == .refuseNewCalls)
        // The drain's own timeout ends what does not end.
        #expect(simulation.judge(500, received: true) == nil)
    }

    // MARK: Deadlines

    @Test func saysWhenItMustBeJudgedPrecisely() {
        var simulation = Simulation()
        #expect(simulation.life.deadline == nil)
        _ = simulation.drain(5)
        #expect(simulation.life.deadline == Simulation.time(7))
        _ = simulation.life.shutdownWasRead()
        #expect(simulation.life.deadline == nil)
        _ = simulation.finished(8)
        #expect(simulation.life.deadline == Simulation.time(9))
        simulation.life.closed()
        #expect(simulation.life.deadline == nil)
    }
}

@Suite struct DurationTests {
    @Test(arguments: [
        (Duration.seconds(-1), UInt64(0)), (.zero, 0), (.milliseconds(1), 1_000_000), (.seconds(2), 2_000_000_000),
        (.seconds(Int64.max), UInt64.max), (.seconds(18_446_744_073) + .milliseconds(900), UInt64.max),
    ])
    func holdsDurationsWithinTheClock(_ duration: Duration, _ nanoseconds: UInt64) {
        #expect(duration.nanoseconds == nanoseconds)
    }
}
