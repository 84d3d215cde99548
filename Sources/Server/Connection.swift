internal import FletchEventLoop
internal import FletchHTTP2
internal import Logging
internal import FletchRPC
internal import FletchTLS

/// One connection of a loop: moves bytes between the socket and gRPC, and does what its ``ConnectionLife``
/// asks for.
final class Connection: StreamConnectionHandler, RosterMember {
    private let socket: StreamConnection
    /// An established session; nil: plaintext.
    private let tls: TLSSession?
    private let rpc: ServerConnection
    private unowned(unsafe) let worker: LoopWorker
    var index = 0
    /// Its number among all that the server has accepted.
    let id: Int
    private var life: ConnectionLife
    private var isPaused = false
    private var keepalivesSent: UInt64 = 0
    private var hasOutput = false
    // Touched by every read; unchecked: one thread, no call within an access.
    @exclusivity(unchecked) private var hasReceived = false
    @exclusivity(unchecked) private var notedPings: UInt64 = 0

    init(
        _ socket: StreamConnection, tls: TLSSession?, peer: Peer, worker: LoopWorker, dispatcher: Dispatcher,
        id: Int, life: ConnectionLife
    ) throws(HTTP2Error) {
        self.socket = socket
        self.tls = tls
        self.worker = worker
        self.id = id
        self.life = life
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
        guard life.takesBytes else { return }
        if let tls {
            worker.tlsBuffers.clear()
            tls.receive(bytes)
            guard receive(from: tls) else { return }
        } else {
            guard receive(bytes) else { return }
        }
        hasReceived = true
        if rpc.http2.pingsReceived != notedPings { notePings() }
        if rpc.http2.shutdownWasRead, life.isAnnounced { perform(life.shutdownWasRead()) }
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
            if sendCiphertext() { perform(life.finished(now: EventLoop.now())) } else { close() }
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

    /// The peer is told that the connection ends; calls under way are still taken.
    func drain() {
        perform(life.drain(now: EventLoop.now()))
        flush()
    }

    func expireCalls() {
        guard rpc.nextExpiry != nil else { return }
        rpc.expireCalls()
        answer()
    }

    var openCallCount: Int { rpc.openCallCount }

    var report: ConnectionReport {
        ConnectionReport(
            id: id, localAddress: socket.localAddress, peerAddress: rpc.peer.address, cipherSuite: tls?.cipherSuite,
            callsStarted: rpc.startedCalls,
            callsOpen: rpc.openCallCount, callsUnanswered: rpc.unansweredCalls, lastCallStarted: rpc.lastCallStarted,
            messagesReceived: rpc.messagesReceived, messagesSent: rpc.messagesSent, keepalivesSent: keepalivesSent)
    }

    func close() {
        guard life.phase != .closed else { return }
        life.closed()
        rpc.close()
        socket.close()
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
            unfinishedHeaders: session.unfinishedHeaders, openCalls: session.openStreamCount,
            startedCalls: rpc.startedCalls, hasUnsentBytes: socket.queuedBytes > 0 || session.unsentAnswers > 0,
            sendProgress: UInt64(session.bodyBytesSent) &+ (socket.queuedBytes > 0 ? socket.sentBytes : 0))
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
        case .sendPing:
            keepalivesSent &+= 1
            rpc.http2.ping()
        case .announceShutdown: rpc.http2.announceShutdown()
        case .refuseNewCalls: rpc.http2.refuseNewStreams()
        case .calmPeer:
            worker.logger.debug("connection closed: the peer sends too many PINGs")
            rpc.http2.terminate(debugData: "too_many_pings")
        case .finishWriting:
            rpc.close()
            finishWriting()
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

    /// A task of one of the connection's calls has something to send: it leaves after the turn of tasks.
    private func noteOutput() {
        guard !hasOutput else { return }
        hasOutput = true
        worker.noteOutput(self)
    }

    /// Sends what tasks wrote.
    func flushOutput() {
        hasOutput = false
        answer()
    }

    /// Sends what gRPC wants sent. While the socket takes no more, nothing is read either: a peer that does not read
    /// cannot make us keep answers for it.
    private func flush() {
        guard life.takesBytes else { return }
        guard sendPending() else {
            close()
            return
        }
        let isBlocked = socket.queuedBytes > 0
        if isBlocked != isPaused {
            isPaused = isBlocked
            if isBlocked { socket.pauseReading() } else { socket.resumeReading() }
        }
        if !isBlocked, rpc.http2.isFinished { perform(life.finished(now: EventLoop.now())) }
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

    /// Tells the peer that nothing more comes.
    private func finishWriting() {
        if let tls {
            worker.tlsBuffers.clear()
            tls.close()
            _ = sendCiphertext()
        }
        if socket.queuedBytes == 0 { socket.finishWriting() }
    }
}
