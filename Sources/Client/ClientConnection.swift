internal import FletchEventLoop
internal import FletchHTTP2
internal import FletchRPC
internal import FletchTLS

/// One connection of a channel: moves bytes between the socket and the HTTP/2 session. On the loop's thread.
final class ClientConnection: StreamConnectionHandler {
    private let socket: StreamConnection
    /// An established session; nil: plaintext.
    private let tls: TLSSession?
    let session: ClientSession
    private let connector: Connector
    private let loop: ClientLoop
    private(set) var isOpen = true
    private var willFlush = false
    /// What the TLS session said while the socket took nothing.
    private var unsentRecords: [UInt8] = []

    private var keepaliveTimer: LoopTimer?
    private var hasReceived = false
    private var awaitsAnswer = false

    init(_ socket: StreamConnection, tls: TLSSession?, of connector: Connector) throws(HTTP2Error) {
        self.socket = socket
        self.tls = tls
        self.connector = connector
        loop = connector.loop
        session = try ClientSession()
    }

    func start() {
        socket.start(self)
        if let keepalive = connector.configuration.keepalive {
            let timer = LoopTimer(on: loop.loop) { [unowned self] in keepAlive(keepalive) }
            timer.start(after: keepalive.time.timerMilliseconds)
            keepaliveTimer = timer
        }
        // What a TLS session was given behind the handshake.
        if let tls { receive(from: tls) }
        noteOutput()
    }

    /// Begins a call; false where the connection takes none.
    func begin(_ call: CallState) -> Bool { isOpen && session.acceptsRequests && call.begin(on: self) }

    /// There is something to send: it leaves at the end of the loop's turn.
    func noteOutput() {
        guard !willFlush, isOpen else { return }
        willFlush = true
        loop.flushLater(self)
    }

    // MARK: StreamConnectionHandler

    func connection(received bytes: UnsafeRawBufferPointer) {
        hasReceived = true
        if let tls {
            loop.tlsBuffers.clear()
            tls.receive(bytes)
            receive(from: tls)
        } else {
            receive(bytes)
        }
        noteOutput()
    }

    func connectionIsWritable() { flush() }

    func connectionEnded() { close("the server closed the connection") }

    private func receive(from tls: TLSSession) {
        do throws(TLSError) {
            while case let plaintext = try tls.read(), !plaintext.isEmpty, isOpen { receive(plaintext) }
        } catch {
            return close("\(error)")
        }
        guard isOpen else { return }
        unsentRecords += loop.tlsBuffers.ciphertext
        if tls.peerHasClosed { close("the server closed the connection") }
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) {
        do throws(HTTP2Error) {
            try session.receive(bytes, now: EventLoop.now())
        } catch {
            // The GOAWAY that tells the server.
            _ = sendPending()
            return close("\(error)")
        }
        if session.goAway != nil { connector.retire(self) }
    }

    // MARK: Output

    /// Sends what there is to send. Nothing more is made while the socket takes no more, but it is read on: both sides
    /// would else wait for each other.
    func flush() {
        willFlush = false
        guard isOpen else { return }
        guard sendPending() else { return close("the connection was lost") }
        if session.isFinished { close(session.violation ?? "the server closed the connection") }
        closeWhereUnused()
    }

    private func sendPending() -> Bool {
        let output = loop.output
        while socket.queuedBytes == 0 {
            if !unsentRecords.isEmpty {
                let records = unsentRecords
                unsentRecords = []
                guard records.withUnsafeBytes(socket.write) else { return false }
                continue
            }
            output.clear()
            do throws(HTTP2Error) {
                let isComplete = try session.fill(output)
                if output.bytes.isEmpty { return true }
                guard send(output.bytes) else { return false }
                if isComplete { return true }
            } catch {
                return false
            }
        }
        return true
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let tls else { return socket.write(bytes) }
        loop.tlsBuffers.clear()
        do throws(TLSError) { try tls.encrypt(bytes) } catch { return false }
        return socket.write(loop.tlsBuffers.ciphertext)
    }

    // MARK: The end

    /// Says goodbye where no call is left and none will come.
    private func closeWhereUnused() {
        guard isOpen, !connector.uses(self), !session.hasOpenStreams else { return }
        session.shutDown()
        _ = sendPending()
        if let tls, socket.queuedBytes == 0 {
            loop.tlsBuffers.clear()
            tls.close()
            _ = loop.tlsBuffers.ciphertext.isEmpty || socket.write(loop.tlsBuffers.ciphertext)
        }
        close("the channel is closed")
    }

    /// Ends the connection; calls on it fail, or are tried again where the server has not seen them.
    private func close(_ reason: String) {
        guard isOpen else { return }
        isOpen = false
        keepaliveTimer?.close()
        socket.close()
        // First, so that calls that are tried again find another connection.
        connector.lost(self)
        session.close(reason: describe(reason))
        connector.closeWhereUnused()
    }

    private func describe(_ reason: String) -> String {
        var text = "the connection to \(connector.target.text) was lost: \(reason)"
        if let goAway = session.goAway, goAway.code != 0 {
            text += "; it had said \(errorCodeName(goAway.code)) '\(goAway.debugData)'"
        }
        return text
    }

    private func keepAlive(_ keepalive: ChannelConfiguration.Keepalive) {
        let isSilent = !hasReceived
        hasReceived = false
        if session.hasOpenStreams, isSilent {
            guard !awaitsAnswer else { return close("the server is silent, and does not answer PINGs either") }
            awaitsAnswer = true
            session.ping()
            noteOutput()
        } else {
            awaitsAnswer = false
        }
        keepaliveTimer?.start(after: (awaitsAnswer ? keepalive.timeout : keepalive.time).timerMilliseconds)
    }
}
