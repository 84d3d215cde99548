internal import CMalloc
internal import FletchEventLoop
internal import FletchHTTP2
internal import Logging
internal import FletchRPC
internal import FletchTLS

/// One loop of the server with its listeners and connections. Made by the thread that starts the server, then touched
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
    /// Failures of handlers that are logged between two sweeps: enough to see what is wrong.
    private static let maxFailuresLogged = 10

    let index: Int
    let logger: Logger
    private let configuration: ServerConfiguration
    private let loop: EventLoop
    private unowned(unsafe) let server: Server
    private var listeners: [StreamListener] = []
    private var dispatcher: Dispatcher?
    private var connections = Roster<Connection>()
    private var handshakes = Roster<Handshake>()
    /// Every loop numbers its connections itself, in steps that leave the numbers between to the others.
    private var nextConnectionID: Int
    /// Connections that tasks have given something to send since the last turn.
    private var withOutput: [Connection] = []
    /// Where TLS sessions put their bytes; made with the first of them.
    private(set) lazy var tlsBuffers = TLSBuffers(maxWriteBytes: output.capacity)
    let lifeSettings: ConnectionLife.Settings
    /// Connections held at once, handshakes included; set before the loop runs.
    var maxConnections: Int
    private var phase = Phase.serving
    private var sweepTimer: LoopTimer?
    private var judgementTimer: LoopTimer?
    private var expiryTimer: LoopTimer?
    private var phaseTimer: LoopTimer?
    private var nextExpiry = UInt64.max
    private var nextJudgement = UInt64.max
    private var sweptAt = EventLoop.now()
    /// Calls begun until the last sweep.
    private var sweptCalls: UInt64 = 0
    /// When the loop last went from timers to reading: what had arrived by then has been read at the next timer.
    private var pollBeganAt = EventLoop.now()
    private var signals: [LoopSignal] = []
    private var cutOffCalls = 0
    private var failuresLogged = 0
    private var isCutOff = false
    private var isFinished = false

    init(
        index: Int, sockets: [ListeningSocket], configuration: ServerConfiguration, logger: Logger, server: Server
    ) throws(EventLoopError) {
        self.index = index
        nextConnectionID = index
        self.logger = logger
        self.configuration = configuration
        self.server = server
        lifeSettings = ConnectionLife.Settings(configuration)
        maxConnections = configuration.maxConnectionsPerLoop
        loop = try EventLoop()
        do throws(EventLoopError) {
            for (socket, listener) in zip(sockets, configuration.listeners) {
                let tls = listener.tls
                listeners.append(try StreamListener(socket, on: loop) { [unowned self] in accept($0, tls) })
            }
        } catch {
            abandon()
            throw error
        }
        // Before anyone can know that the server runs, and end it by a signal.
        if index == 0, configuration.handlesSignals { watchSignals() }
    }

    /// Ends a worker that never ran.
    func abandon() {
        for listener in listeners { listener.close() }
        ignoreSignals()
        loop.close()
        loop.run()
    }

    var proxy: LoopProxy { loop.proxy }
    var output: OutputBuffer { dispatcher!.output }

    var counters: Counters {
        var counters = dispatcher?.allCounters ?? Counters()
        counters.connectionsOpen = UInt64(connections.count + handshakes.count)
        return counters
    }

    /// Serves until the worker has drained. On the worker's own thread.
    ///
    /// - Returns: How many calls were cut off at the end.
    func run(methods: [Method], interceptors: [Interceptor]) -> Int {
        dispatcher = Dispatcher(
            methods: methods, interceptors: interceptors,
            limits: configuration.callLimits.share(ofLoops: max(1, configuration.loopCount)),
            connectionLimits: configuration.connectionLimits, compression: configuration.compression,
            plainEndpoint: configuration.plainEndpoint, executor: loop.executor, clock: EventLoop.now,
            turnStart: { [unowned(unsafe) loop] in loop.turnStart })
        loop.executor.afterTurn = { [unowned self] in finishTurn() }
        dispatcher?.onFailure = { [unowned self] in logFailure(ofMethod: $0, $1) }
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

    private func accept(_ socket: StreamConnection, _ tls: TLSContextStore?) {
        guard let dispatcher, connections.count + handshakes.count < maxConnections else {
            dispatcher?.counters.connectionsRefused &+= 1
            socket.close()
            return
        }
        dispatcher.counters.connectionsAccepted &+= 1
        guard let tls else {
            open(socket, tls: nil)
            return
        }
        do throws(TLSError) {
            let handshake = try Handshake(
                socket, TLSSession(tls.current, buffers: tlsBuffers), worker: self, now: EventLoop.now())
            handshakes.add(handshake)
            handshake.start()
        } catch {
            logger.error("connection refused: \(error)")
            socket.close()
        }
    }

    /// Serves an accepted connection, over an established session where it is encrypted.
    func open(_ socket: StreamConnection, tls: TLSSession?) {
        guard let dispatcher else { return }
        let identity = tls?.peerCertificate.map {
            PeerIdentity(subject: $0.subject, dnsNames: $0.dnsNames, uris: $0.uris)
        }
        do throws(HTTP2Error) {
            let connection = try Connection(
                socket, tls: tls, peer: Peer(address: socket.peerAddress, identity: identity), worker: self,
                dispatcher: dispatcher, id: nextConnectionID,
                life: ConnectionLife(lifeSettings, acceptedAt: EventLoop.now(), jitter: .random(in: -1...1)))
            nextConnectionID += max(1, configuration.loopCount)
            connections.add(connection)
            connection.start()
            if phase == .draining { connection.drain() }
        } catch {
            logger.error("connection refused: \(error)")
            socket.close()
        }
    }

    func remove(_ connection: Connection) {
        connections.remove(connection)
        finishIfDone()
    }

    func remove(_ handshake: Handshake) {
        handshakes.remove(handshake)
        finishIfDone()
    }

    var connectionIDs: [Int] { connections.members.map(\.id) }

    func report(ofConnection id: Int) -> ConnectionReport? { connections.members.first { $0.id == id }?.report }

    /// Calls `body` with every connection; `body` may close them.
    private func forEachConnection(_ body: (Connection) -> Void) {
        for connection in connections.members { body(connection) }
    }

    /// Remembers a connection that a task has given something to send.
    func noteOutput(_ connection: Connection) { withOutput.append(connection) }

    /// After a turn of tasks: what they wrote leaves in one write for each connection.
    private func finishTurn() {
        let connections = withOutput
        withOutput.removeAll(keepingCapacity: true)
        for connection in connections { connection.flushOutput() }
        finishIfDone()
    }

    /// Logs what callers are not told. Callers can make handlers fail, so only so many a second.
    private func logFailure(ofMethod path: String, _ error: any Error) {
        failuresLogged += 1
        guard failuresLogged <= Self.maxFailuresLogged else { return }
        logger.error("the handler of \(path) failed: \(error)")
    }

    // MARK: Time

    private func sweep() {
        let now = EventLoop.now()
        failuresLogged = 0
        let seconds = Int((now - sweptAt + 500_000_000) / 1_000_000_000)
        sweptAt = now
        forEachConnection { $0.earnAllowance(seconds: seconds) }
        // Not in this turn of the loop: what arrived while handlers held it is read before peers are judged.
        nextJudgement = now
        judgementTimer?.start(after: Self.judgementMilliseconds)
        pollBeganAt = now
        if let dispatcher { shrink(dispatcher) }
    }

    /// A peak is not to stay with the process.
    private func shrink(_ dispatcher: Dispatcher) {
        let calls = dispatcher.counters.callsStarted
        // The allocator keeps what was freed in between.
        if dispatcher.shrink(callsPerSecond: Int(calls - sweptCalls)) { malloc_trim(0) }
        sweptCalls = calls
    }

    /// Lets every connection do what time asks for.
    private func judge() {
        let moment = Moment(now: EventLoop.now(), readUntil: pollBeganAt)
        nextJudgement = .max
        forEachConnection { $0.judge(at: moment) }
        for handshake in handshakes.members { handshake.judge(at: moment) }
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
        server.health.endWatches()
        for listener in listeners { listener.drain() }
        listeners = []
        phase = .draining
        phaseTimer?.start(after: configuration.drainTimeout.milliseconds)
        forEachConnection { $0.drain() }
        finishIfDone()
    }

    private func cutOff() {
        cutOffCalls += connections.members.reduce(0) { $0 + $1.openCallCount }
        isCutOff = true
        forEachConnection { $0.close() }
        for handshake in handshakes.members { handshake.close() }
        finishIfDone()
    }

    /// Ends the loop once nothing is left to do on it. Handlers whose callers are gone were cancelled and have until
    /// the drain's end to notice. The loop that hears the signals stays for the others, too: without it, the next signal
    /// would end the process.
    func finishIfDone() {
        guard phase == .draining, !isFinished, connections.isEmpty, handshakes.isEmpty else { return }
        guard isCutOff || dispatcher?.runningHandlers ?? 0 == 0 else { return }
        if index > 0 || server.isLast(self) { finish() }
    }

    private func finish() {
        isFinished = true
        sweepTimer?.close()
        judgementTimer?.close()
        expiryTimer?.close()
        phaseTimer?.close()
        ignoreSignals()
        loop.close()
    }
}
