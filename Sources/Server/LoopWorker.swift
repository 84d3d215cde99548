internal import EventLoop
internal import HTTP2
internal import Logging
internal import RPC

/// One loop of the server with its listener and connections. Made by the thread that starts the server, then touched
/// by its own thread alone: others go through the loop's proxy.
final class LoopWorker: @unchecked Sendable {
    /// The configuration's durations in nanoseconds.
    struct Timeouts {
        let preface, headers, stall, idle, announce: UInt64
        /// How long a finished connection waits for its peer to close.
        let linger: UInt64 = 2_000_000_000
    }

    /// Expired calls are answered this much late at most, so that many short deadlines share one wake-up.
    private static let expiryResolution: UInt64 = 2_000_000
    private static let sweepMilliseconds: UInt64 = 1000

    let index: Int
    let logger: Logger
    let timeouts: Timeouts
    private let configuration: ServerConfiguration
    private let loop: EventLoop
    private unowned(unsafe) let server: Server
    private var listener: TCPListener?
    private var dispatcher: Dispatcher?
    private var connections: [Connection] = []
    /// Every loop numbers its connections itself, in steps that leave the numbers between to the others.
    private var nextConnectionID: Int
    /// Connections that tasks have given something to send since the last turn.
    private var withOutput: [Connection] = []
    private var sweepTimer: LoopTimer?
    private var expiryTimer: LoopTimer?
    private var drainTimer: LoopTimer?
    private var nextExpiry = UInt64.max
    private var signals: [LoopSignal] = []
    private var drainingSince: UInt64?
    private var cutOffCalls = 0
    private var isCutOff = false
    private var isFinished = false

    init(
        index: Int, socket: ListeningSocket, configuration: ServerConfiguration, logger: Logger, server: Server
    ) throws(EventLoopError) {
        self.index = index
        nextConnectionID = index
        self.logger = logger
        self.configuration = configuration
        self.server = server
        timeouts = Timeouts(
            preface: configuration.prefaceTimeout.nanoseconds, headers: configuration.headersTimeout.nanoseconds,
            stall: configuration.stallTimeout.nanoseconds, idle: configuration.idleTimeout.nanoseconds,
            announce: configuration.announceTimeout.nanoseconds)
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
    }

    /// Ends a worker that never ran.
    func abandon() {
        listener?.close()
        loop.close()
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
    func run(methods: [Method]) -> Int {
        dispatcher = Dispatcher(
            methods: methods, limits: configuration.callLimits, connectionLimits: configuration.connectionLimits,
            executor: loop.executor, clock: EventLoop.now)
        loop.executor.afterTurn = { [unowned self] in finishTurn() }
        sweepTimer = LoopTimer(on: loop) { [unowned self] in sweep() }
        sweepTimer?.start(after: Self.sweepMilliseconds, every: Self.sweepMilliseconds)
        expiryTimer = LoopTimer(on: loop) { [unowned self] in expireCalls() }
        drainTimer = LoopTimer(on: loop) { [unowned self] in cutOff() }
        if index == 0, configuration.handlesSignals { watchSignals() }
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

    // MARK: Connections

    private func accept(_ tcp: TCPConnection) {
        guard let dispatcher, connections.count < configuration.maxConnectionsPerLoop else {
            dispatcher?.counters.connectionsRefused &+= 1
            tcp.close()
            return
        }
        dispatcher.counters.connectionsAccepted &+= 1
        do throws(HTTP2Error) {
            let connection = try Connection(
                tcp, worker: self, dispatcher: dispatcher, index: connections.count, id: nextConnectionID,
                now: EventLoop.now())
            nextConnectionID += configuration.loopCount
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
        finishIfDone()
    }

    var connectionIDs: [Int] { connections.map(\.id) }

    func report(ofConnection id: Int) -> ConnectionReport? { connections.first { $0.id == id }?.report }

    /// Calls `body` with every connection; `body` may close them.
    private func forEachConnection(_ body: (Connection) -> Void) {
        for connection in connections { body(connection) }
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

    // MARK: Time

    private func sweep() {
        let now = EventLoop.now()
        forEachConnection { $0.sweep(now: now) }
        if let drainingSince, now - drainingSince > timeouts.announce { forEachConnection { $0.refuseNewCalls() } }
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

    /// Stops accepting, tells every peer, and ends when the last call is answered. A second time: ends at once.
    func drain() {
        guard drainingSince == nil else {
            cutOff()
            return
        }
        listener?.drain()
        listener = nil
        drainingSince = EventLoop.now()
        drainTimer?.start(after: configuration.drainTimeout.milliseconds)
        forEachConnection { $0.beginDrain() }
        finishIfDone()
    }

    private func cutOff() {
        cutOffCalls += connections.reduce(0) { $0 + $1.openCallCount }
        isCutOff = true
        forEachConnection { $0.close() }
        finishIfDone()
    }

    /// Ends the loop once nothing is left to do on it. Handlers whose callers are gone were cancelled and have until
    /// the drain's end to notice.
    private func finishIfDone() {
        guard drainingSince != nil, !isFinished, connections.isEmpty else { return }
        if isCutOff || dispatcher?.runningHandlers ?? 0 == 0 { finish() }
    }

    private func finish() {
        isFinished = true
        sweepTimer?.close()
        expiryTimer?.close()
        drainTimer?.close()
        for signal in signals { signal.close() }
        signals = []
        loop.close()
    }
}
