internal import EventLoop
internal import HTTP2
internal import Logging
internal import RPC
internal import TLS

/// One connection of a loop: moves bytes between the socket and gRPC, and judges its peer's pace.
final class Connection: StreamConnectionHandler, RosterMember {
    private enum Phase {
        case open
        /// Everything is said; what the peer still sends is read and dropped until it closes.
        case lingering(since: UInt64)
        case closed
    }

    private let socket: StreamConnection
    /// An established session; nil: plaintext.
    private let tls: TLSSession?
    private let rpc: ServerConnection
    private unowned(unsafe) let worker: LoopWorker
    var index = 0
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
        _ socket: StreamConnection, tls: TLSSession?, peer: Peer, worker: LoopWorker, dispatcher: Dispatcher,
        now: UInt64
    ) throws(HTTP2Error) {
        self.socket = socket
        self.tls = tls
        self.worker = worker
        acceptedAt = now
        lastCallAt = now
        progressAt = now
        rpc = try ServerConnection(dispatcher: dispatcher, peer: peer)
    }

    /// Begins to serve. What a TLS session was given behind the handshake is taken first.
    func start() {
        rpc.onOutput = { [unowned self] in noteOutput() }
        socket.start(self)
        if let tls, !receive(from: tls) { return }
        answer()
    }

    // MARK: StreamConnectionHandler

    func connection(received bytes: UnsafeRawBufferPointer) {
        guard case .open = phase else { return }
        if let tls {
            worker.tlsBuffers.clear()
            tls.receive(bytes)
            guard receive(from: tls) else { return }
        } else {
            guard receive(bytes) else { return }
        }
        answer()
    }

    /// Hands plaintext to gRPC; false where the connection is over.
    private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        do throws(HTTP2Error) {
            try rpc.receive(bytes)
            return true
        } catch {
            worker.logger.debug("connection closed: \(error)")
            close()
            return false
        }
    }

    /// Takes all that `tls` was given; false where the connection is over.
    private func receive(from tls: TLSSession) -> Bool {
        do throws(TLSError) {
            while case let plaintext = try tls.read(), !plaintext.isEmpty {
                guard receive(plaintext) else { return false }
            }
        } catch {
            worker.logger.debug("connection closed: \(error)")
            // The alert that tells the peer.
            if sendCiphertext() { linger() } else { close() }
            return false
        }
        let isOpen = sendCiphertext()
        if isOpen, !tls.peerHasClosed { return true }
        flush()
        close()
        return false
    }

    private func answer() {
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

    func close() {
        if case .closed = phase { return }
        phase = .closed
        rpc.close()
        socket.close()
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
        let current = UInt64(session.bodyBytesSent) &+ (socket.queuedBytes > 0 ? socket.sentBytes : 0)
        let hasMoved = current < progress || current - progress >= worker.stallBytes
        if hasMoved || (socket.queuedBytes == 0 && session.unsentAnswers == 0) {
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
        let isBlocked = socket.queuedBytes > 0
        if isBlocked != isPaused {
            isPaused = isBlocked
            if isBlocked { socket.pauseReading() } else { socket.resumeReading() }
        }
        if !isBlocked, rpc.http2.isFinished {
            if let tls {
                worker.tlsBuffers.clear()
                tls.close()
                _ = sendCiphertext()
            }
            linger()
        }
    }

    private func sendPending() -> Bool {
        let output = worker.output
        while socket.queuedBytes == 0 {
            output.clear()
            do throws(HTTP2Error) {
                let isComplete = try rpc.fill(output)
                if output.bytes.isEmpty { return true }
                guard send(output.bytes) else { return false }
                if isComplete { return true }
            } catch {
                worker.logger.debug("connection closed: \(error)")
                return false
            }
        }
        return true
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let tls else { return socket.write(bytes) }
        worker.tlsBuffers.clear()
        do throws(TLSError) {
            try tls.encrypt(bytes)
        } catch {
            worker.logger.debug("connection closed: \(error)")
            return false
        }
        return sendCiphertext()
    }

    /// Sends what the TLS session has to say; false where the connection has failed, or the peer makes the session
    /// answer and does not read.
    private func sendCiphertext() -> Bool {
        let bytes = worker.tlsBuffers.ciphertext
        return bytes.isEmpty || (socket.queuedBytes == 0 && socket.write(bytes))
    }

    /// Everything is said: waits for the peer to close.
    private func linger() {
        phase = .lingering(since: EventLoop.now())
        rpc.close()
        if socket.queuedBytes == 0 { socket.finishWriting() }
    }
}
