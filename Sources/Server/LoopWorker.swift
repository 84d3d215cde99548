internal import EventLoop
internal import HTTP2
internal import Logging
internal import RPC

/// One loop of the server with its listener and connections. Made by the thread that starts the server, then touched
/// by its own thread alone: others go through the loop's proxy.
final class LoopWorker: @unchecked Sendable {
    private enum Phase {
        case serving
        /// Health says NOT_SERVING; all else goes on.
        case lameDuck
        /// Nothing new is taken; ends with the last connection.
        case draining
    }

    /// Expired calls are answered this much late at most, so that many short deadlines share one wake-up.
    private static let expiryResolution: UInt64 = 2_000_000
    /// Judgements between sweeps are this far apart at least, so that many connections share them.
    private static let judgementMilliseconds: UInt64 = 10
    private static let sweepMilliseconds: UInt64 = 1000

    let index: Int
    let logger: Logger
    private let configuration: ServerConfiguration
    private let loop: EventLoop
    private unowned(unsafe) let server: Server
    private var listener: TCPListener?
    private var dispatcher: Dispatcher?
    private var connections: [Connection] = []
    private let lifeSettings: ConnectionLife.Settings
    private var phase = Phase.serving
    private var sweepTimer: LoopTimer?
    private var judgementTimer: LoopTimer?
    private var expiryTimer: LoopTimer?
    private var phaseTimer: LoopTimer?
    private var nextExpiry = UInt64.max
    private var nextJudgement = UInt64.max
    private var sweptAt = EventLoop.now()
    /// When the loop last went from timers to reading: what had arrived by then has been read at the next timer.
    private var pollBeganAt = EventLoop.now()
    private var signals: [LoopSignal] = []
    private var cutOffCalls = 0

    init(
        index: Int, socket: ListeningSocket, configuration: ServerConfiguration, logger: Logger, server: Server
    ) throws(EventLoopError) {
        self.index = index
        self.logger = logger
        self.configuration = configuration
        self.server = server
        lifeSettings = ConnectionLife.Settings(configuration)
        do throws(EventLoopError) {
            loop = try EventLoop()
        } catch {
            socket.close()
            throw error
        }
        do throws(EventLoopError) {
            listener = try TCPListener(socket, on: loop) { [unowned self] in accept($0) }
        } catch {
            abandon()
            throw error
        }
        // Before anyone can know that the server runs, and end it by a signal.
        if index == 0, configuration.handlesSignals { watchSignals() }
    }

    /// Ends a worker that never ran.
    func abandon() {
        listener?.close()
        ignoreSignals()
        loop.proxy.close()
        loop.run()
    }

    var proxy: LoopProxy { loop.proxy }
    var output: OutputBuffer { dispatcher!.output }

    var counters: Counters {
        var counters = dispatcher?.counters ?? Counters()
        counters.connectionsOpen = UInt64(connections.count)
        return counters
    }

    /// Serves until the worker has drained. On the worker's own thread.
    ///
    /// - Returns: How many calls were cut off at the end.
    func run(methods: [UnaryMethod]) -> Int {
        dispatcher = Dispatcher(
            methods: methods, limits: configuration.callLimits, connectionLimits: configuration.connectionLimits,
            clock: EventLoop.now)
        sweepTimer = LoopTimer(on: loop) { [unowned self] in sweep() }
        sweepTimer?.start(after: Self.sweepMilliseconds, every: Self.sweepMilliseconds)
        expiryTimer = LoopTimer(on: loop) { [unowned self] in expireCalls() }
        judgementTimer = LoopTimer(on: loop) { [unowned self] in judge() }
        phaseTimer = LoopTimer(on: loop) { [unowned self] in phaseEnded() }
        loop.run()
        return cutOffCalls
    }

    private func watchSignals() {
        do throws(EventLoopError) {
            for kind in [LoopSignal.Kind.terminate, .interrupt] {
                signals.append(try LoopSignal(kind, on: loop) { [unowned self] in server.shutDown() })
            }
            signals.append(try LoopSignal(.user1, on: loop) { [unowned self] in server.logCounters() })
        } catch {
            logger.error("signals are not handled: \(error)")
        }
    }

    private func ignoreSignals() {
        for signal in signals { signal.close() }
        signals = []
    }

    // MARK: Connections

    private func accept(_ tcp: TCPConnection) {
        guard let dispatcher, connections.count < configuration.maxConnectionsPerLoop else {
            dispatcher?.counters.connectionsRefused &+= 1
            tcp.close()
            return
        }
        dispatcher.counters.connectionsAccepted &+= 1
        do throws(HTTP2Error) {
            let life = ConnectionLife(lifeSettings, acceptedAt: EventLoop.now(), jitter: .random(in: -1...1))
            let connection = try Connection(
                tcp, worker: self, dispatcher: dispatcher, index: connections.count, life: life)
            connections.append(connection)
            connection.start()
        } catch {
            logger.error("connection refused: \(error)")
            tcp.close()
        }
    }

    func remove(_ connection: Connection) {
        let last = connections.removeLast()
        if last !== connection {
            last.index = connection.index
            connections[connection.index] = last
        }
        if phase == .draining, connections.isEmpty { finish() }
    }

    /// Calls `body` with every connection; `body` may close them.
    private func forEachConnection(_ body: (Connection) -> Void) {
        for connection in connections { body(connection) }
    }

    // MARK: Time

    private func sweep() {
        let now = EventLoop.now()
        let seconds = Int((now - sweptAt + 500_000_000) / 1_000_000_000)
        sweptAt = now
        forEachConnection { $0.earnAllowance(seconds: seconds) }
        // Not in this turn of the loop: what arrived while handlers held it is read before peers are judged.
        nextJudgement = now
        judgementTimer?.start(after: Self.judgementMilliseconds)
        pollBeganAt = now
    }

    /// Lets every connection do what time asks for.
    private func judge() {
        let moment = Moment(now: EventLoop.now(), readUntil: pollBeganAt)
        nextJudgement = .max
        forEachConnection { $0.judge(at: moment) }
        pollBeganAt = moment.now
    }

    /// Judges at `time`, where that cannot wait for the next sweep.
    func scheduleJudgement(at time: UInt64) {
        guard time < nextJudgement else { return }
        nextJudgement = time
        let now = EventLoop.now()
        let wait = time > now ? (time - now) / 1_000_000 + 1 : 0
        judgementTimer?.start(after: max(wait, Self.judgementMilliseconds))
    }

    /// Wakes the loop for a request that would then be late.
    func scheduleExpiry(at time: UInt64) {
        guard time < nextExpiry else { return }
        nextExpiry = time
        let now = EventLoop.now()
        let wait = (time > now ? time - now : 0) + Self.expiryResolution
        expiryTimer?.start(after: wait / 1_000_000)
    }

    private func expireCalls() {
        nextExpiry = .max
        forEachConnection { $0.expireCalls() }
    }

    // MARK: The end

    /// Ends, politely: after the lame-duck delay nothing new is accepted and every peer is told; the loop ends when the
    /// last call is answered. A second time: ends at once.
    func drain() {
        switch phase {
        case .serving where configuration.lameDuckDelay > .zero:
            phase = .lameDuck
            phaseTimer?.start(after: configuration.lameDuckDelay.milliseconds)
        case .serving: stopAccepting()
        case .lameDuck:
            stopAccepting()
            cutOff()
        case .draining: cutOff()
        }
    }

    private func phaseEnded() {
        if phase == .lameDuck { stopAccepting() } else { cutOff() }
    }

    private func stopAccepting() {
        listener?.drain()
        listener = nil
        phase = .draining
        phaseTimer?.start(after: configuration.drainTimeout.milliseconds)
        forEachConnection { $0.drain() }
        if connections.isEmpty { finish() }
    }

    private func cutOff() {
        cutOffCalls += connections.reduce(0) { $0 + $1.openCallCount }
        forEachConnection { $0.close() }
    }

    private func finish() {
        sweepTimer?.close()
        judgementTimer?.close()
        expiryTimer?.close()
        phaseTimer?.close()
        ignoreSignals()
        loop.proxy.close()
    }
}
