internal import EventLoop
internal import HTTP2
internal import Logging
internal import RPC

/// One connection of a loop: moves bytes between the socket and gRPC, and does what its ``ConnectionLife``
/// asks for.
final class Connection: TCPConnectionHandler {
    private let tcp: TCPConnection
    private let rpc: ServerConnection
    private unowned(unsafe) let worker: LoopWorker
    /// The connection's place in its worker's list.
    var index: Int
    private var life: ConnectionLife
    private var isPaused = false
    // Touched by every read; unchecked: one thread, no call within an access.
    @exclusivity(unchecked) private var hasReceived = false
    @exclusivity(unchecked) private var notedPings: UInt64 = 0

    init(
        _ tcp: TCPConnection, worker: LoopWorker, dispatcher: Dispatcher, index: Int, life: ConnectionLife
    ) throws(HTTP2Error) {
        self.tcp = tcp
        self.worker = worker
        self.index = index
        self.life = life
        rpc = try ServerConnection(dispatcher: dispatcher)
    }

    func start() {
        tcp.start(self)
        flush()
    }

    // MARK: TCPConnectionHandler

    func connection(received bytes: UnsafeRawBufferPointer) {
        guard life.takesBytes else { return }
        do throws(HTTP2Error) {
            try rpc.receive(bytes)
        } catch {
            worker.logger.debug("connection closed: \(error)")
            close()
            return
        }
        hasReceived = true
        if rpc.http2.pingsReceived != notedPings { notePings() }
        if rpc.http2.shutdownWasRead, life.isAnnounced { perform(life.shutdownWasRead()) }
        flush()
        if let expiry = rpc.nextExpiry { worker.scheduleExpiry(at: expiry) }
    }

    func connectionIsWritable() { flush() }

    func connectionEnded() { close() }

    // MARK: Life

    /// The peer is told that the connection ends; calls under way are still taken.
    func drain() {
        perform(life.drain(now: EventLoop.now()))
        flush()
    }

    func expireCalls() {
        guard rpc.nextExpiry != nil else { return }
        rpc.expireCalls()
        flush()
        if let expiry = rpc.nextExpiry { worker.scheduleExpiry(at: expiry) }
    }

    var openCallCount: Int { rpc.openCallCount }

    func close() {
        guard life.phase != .closed else { return }
        life.closed()
        rpc.close()
        tcp.close()
        worker.remove(self)
    }

    /// Lets time refill what the peer may spend.
    func earnAllowance(seconds: Int) { rpc.http2.earnAllowance(seconds: seconds) }

    /// Does what time asks for.
    func judge(at moment: Moment) {
        let action = life.judge(activity, at: moment)
        hasReceived = false
        guard let action else {
            scheduleJudgement()
            return
        }
        perform(action)
        flush()
    }

    private var activity: ConnectionActivity {
        let session = rpc.http2
        return ConnectionActivity(
            hasReceived: hasReceived, isReadingPaused: isPaused, isEstablished: session.isEstablished,
            isInsideHeaders: session.isInsideHeaders, openCalls: session.openStreamCount,
            startedCalls: rpc.startedCalls, hasUnsentBytes: tcp.queuedBytes > 0 || session.unsentAnswers > 0,
            sendProgress: UInt64(session.bodyBytesSent) &+ (tcp.queuedBytes > 0 ? tcp.sentBytes : 0))
    }

    private func notePings() {
        let session = rpc.http2
        let count = session.pingsReceived &- notedPings
        notedPings = session.pingsReceived
        perform(
            life.received(
                pings: count, openCalls: session.openStreamCount, contentFramesSent: session.contentFramesSent,
                now: EventLoop.now()))
    }

    /// Begins what the connection's life asks for; ``flush()`` sends it.
    private func perform(_ action: ConnectionLife.Action?) {
        switch action {
        case nil: return
        case .sendPing: rpc.http2.ping()
        case .announceShutdown: rpc.http2.announceShutdown()
        case .refuseNewCalls: rpc.http2.refuseNewStreams()
        case .calmPeer:
            worker.logger.debug("connection closed: the peer sends too many PINGs")
            rpc.http2.terminate(debugData: "too_many_pings")
        case .finishWriting:
            rpc.close()
            tcp.finishWriting()
        case .close(let reason):
            worker.logger.debug("connection closed: \(reason.rawValue)")
            close()
        }
        scheduleJudgement()
    }

    private func scheduleJudgement() {
        if let deadline = life.deadline { worker.scheduleJudgement(at: deadline) }
    }

    // MARK: Output

    /// Sends what gRPC wants sent. While the socket takes no more, nothing is read either: a peer that does not read
    /// cannot make us keep answers for it.
    private func flush() {
        guard life.takesBytes else { return }
        guard sendPending() else {
            close()
            return
        }
        let isBlocked = tcp.queuedBytes > 0
        if isBlocked != isPaused {
            isPaused = isBlocked
            if isBlocked { tcp.pauseReading() } else { tcp.resumeReading() }
        }
        if !isBlocked, rpc.http2.isFinished { perform(life.finished(now: EventLoop.now())) }
    }

    private func sendPending() -> Bool {
        let output = worker.output
        while tcp.queuedBytes == 0 {
            output.clear()
            do throws(HTTP2Error) {
                let isComplete = try rpc.fill(output)
                if output.bytes.isEmpty { return true }
                guard tcp.write(output.bytes) else { return false }
                if isComplete { return true }
            } catch {
                worker.logger.debug("connection closed: \(error)")
                return false
            }
        }
        return true
    }
}
