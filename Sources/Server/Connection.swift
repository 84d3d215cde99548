internal import EventLoop
internal import HTTP2
internal import Logging
internal import RPC

/// One connection of a loop: moves bytes between the socket and gRPC, and judges its peer's pace.
final class Connection: TCPConnectionHandler {
    private enum Phase {
        case open
        /// Everything is said; what the peer still sends is read and dropped until it closes.
        case lingering(since: UInt64)
        case closed
    }

    private let tcp: TCPConnection
    private let rpc: ServerConnection
    private unowned(unsafe) let worker: LoopWorker
    /// The connection's place in its worker's list.
    var index: Int
    /// Its number among all that the server has accepted.
    let id: Int
    private var phase = Phase.open
    private var isDraining = false
    private var isPaused = false
    private var hasOutput = false

    private let acceptedAt: UInt64
    private var headersSince: UInt64?
    private var lastCallAt: UInt64
    private var lastStartedCalls: UInt64 = 0
    private var progress: UInt64 = 0
    private var progressAt: UInt64

    init(
        _ tcp: TCPConnection, worker: LoopWorker, dispatcher: Dispatcher, index: Int, id: Int, now: UInt64
    ) throws(HTTP2Error) {
        self.tcp = tcp
        self.worker = worker
        self.index = index
        self.id = id
        acceptedAt = now
        lastCallAt = now
        progressAt = now
        rpc = try ServerConnection(dispatcher: dispatcher)
    }

    func start() {
        rpc.onOutput = { [unowned self] in noteOutput() }
        tcp.start(self)
        flush()
    }

    // MARK: TCPConnectionHandler

    func connection(received bytes: UnsafeRawBufferPointer) {
        guard case .open = phase else { return }
        do throws(HTTP2Error) {
            try rpc.receive(bytes)
        } catch {
            worker.logger.debug("connection closed: \(error)")
            close()
            return
        }
        flush()
        if let expiry = rpc.nextExpiry { worker.scheduleExpiry(at: expiry) }
    }

    func connectionIsWritable() { flush() }

    func connectionEnded() { close() }

    // MARK: Life

    /// First phase of the end: the peer is told, calls under way are still taken.
    func beginDrain() {
        guard case .open = phase else { return }
        isDraining = true
        rpc.http2.announceShutdown()
        flush()
    }

    /// Second phase: no new calls; the connection ends when its calls are answered.
    func refuseNewCalls() {
        guard case .open = phase else { return }
        rpc.http2.refuseNewStreams()
        flush()
    }

    func expireCalls() {
        guard rpc.nextExpiry != nil else { return }
        rpc.expireCalls()
        flush()
        if let expiry = rpc.nextExpiry { worker.scheduleExpiry(at: expiry) }
    }

    var openCallCount: Int { rpc.openCallCount }

    var report: ConnectionReport {
        ConnectionReport(
            id: id, localAddress: tcp.localAddress, peerAddress: tcp.peerAddress, callsStarted: rpc.startedCalls,
            callsOpen: rpc.openCallCount, callsUnanswered: rpc.unansweredCalls, lastCallStarted: rpc.lastCallStarted,
            messagesReceived: rpc.messagesReceived, messagesSent: rpc.messagesSent)
    }

    func close() {
        if case .closed = phase { return }
        phase = .closed
        rpc.close()
        tcp.close()
        worker.remove(self)
    }

    /// Once a second: gives allowances, and closes what has made no progress for too long.
    func sweep(now: UInt64) {
        switch phase {
        case .closed: return
        case .lingering(let since):
            if now - since > worker.timeouts.linger { close() }
            return
        case .open: break
        }
        let session = rpc.http2
        session.earnAllowance(seconds: 1)
        noteProgress(session, now: now)
        if let reason = lateness(session, now: now) {
            worker.logger.debug("connection closed: \(reason)")
            close()
        } else if now - lastCallAt > worker.timeouts.idle {
            refuseNewCalls()
        }
    }

    private func noteProgress(_ session: Session, now: UInt64) {
        if session.openStreamCount > 0 || rpc.startedCalls != lastStartedCalls {
            lastCallAt = now
            lastStartedCalls = rpc.startedCalls
        }
        if !session.isInsideHeaders { headersSince = nil } else if headersSince == nil { headersSince = now }
        let current = UInt64(session.bodyBytesSent) &+ (tcp.queuedBytes > 0 ? tcp.sentBytes : 0)
        if current != progress || (tcp.queuedBytes == 0 && session.unsentAnswers == 0) {
            progress = current
            progressAt = now
        }
    }

    private func lateness(_ session: Session, now: UInt64) -> String? {
        if !session.isEstablished, now - acceptedAt > worker.timeouts.preface { return "no HTTP/2 preface in time" }
        if let headersSince, now - headersSince > worker.timeouts.headers { return "header fields did not end in time" }
        if now - progressAt > worker.timeouts.stall { return "the peer does not take its answers" }
        return nil
    }

    // MARK: Output

    /// A task of one of the connection's calls has something to send: it leaves after the turn of tasks.
    private func noteOutput() {
        guard !hasOutput else { return }
        hasOutput = true
        worker.noteOutput(self)
    }

    /// Sends what tasks wrote.
    func flushOutput() {
        hasOutput = false
        flush()
        if let expiry = rpc.nextExpiry { worker.scheduleExpiry(at: expiry) }
    }

    /// Sends what gRPC wants sent. While the socket takes no more, nothing is read either: a peer that does not read
    /// cannot make us keep answers for it.
    private func flush() {
        guard case .open = phase else { return }
        if isDraining, rpc.http2.shutdownWasRead { rpc.http2.refuseNewStreams() }
        guard sendPending() else {
            close()
            return
        }
        let isBlocked = tcp.queuedBytes > 0
        if isBlocked != isPaused {
            isPaused = isBlocked
            if isBlocked { tcp.pauseReading() } else { tcp.resumeReading() }
        }
        if !isBlocked, rpc.http2.isFinished {
            phase = .lingering(since: EventLoop.now())
            rpc.close()
            tcp.finishWriting()
        }
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
