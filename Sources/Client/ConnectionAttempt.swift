internal import FletchEventLoop
internal import FletchHTTP2
internal import FletchTLS

/// Makes a connection: the name's addresses, one after the other, then TLS.
final class ConnectionAttempt: StreamConnectionHandler {
    private unowned let connector: Connector
    private let loop: EventLoop
    private var resolution: NameResolution?
    private var peers: [(name: String, peer: StreamConnection.Peer)] = []
    private var current = ""
    private var socket: StreamConnection?
    private var tls: TLSSession?
    private var timer: LoopTimer?
    /// What was tried, and why it failed.
    private var problems: [String] = []

    init(_ connector: Connector) {
        self.connector = connector
        loop = connector.loop.loop
    }

    func start() {
        let timer = LoopTimer(on: loop) { [unowned self] in timedOut() }
        timer.start(after: connector.configuration.connectTimeout.timerMilliseconds)
        self.timer = timer
        switch connector.target.place {
        case .unix(let path):
            peers = [(connector.target.text, .unix(path: path))]
            tryNext()
        case .host(let host, let port):
            resolution = NameResolution(host: host, port: port, on: loop) { [unowned self] in resolved($0) }
        }
    }

    /// Gives the attempt up; nobody hears of it.
    func cancel() {
        resolution?.cancel()
        timer?.close()
        socket?.close()
        socket = nil
    }

    private func resolved(_ result: Result<[SocketAddress], EventLoopError>) {
        resolution = nil
        switch result {
        case .success(let addresses):
            peers = addresses.map { ($0.text, .internet($0)) }
            tryNext()
        case .failure(let error): fail("no address for this name: \(error)")
        }
    }

    private func tryNext() {
        guard !peers.isEmpty else { return fail(problems.joined(separator: "; ")) }
        let (name, peer) = peers.removeFirst()
        current = name
        do throws(EventLoopError) {
            socket = try StreamConnection(to: peer, on: loop) { [unowned self] in connected($0) }
        } catch {
            note("\(error)")
        }
    }

    /// The address that is tried will not do.
    private func note(_ problem: String) {
        socket?.close()
        socket = nil
        tls = nil
        problems.append(current == connector.target.text ? problem : "\(current): \(problem)")
        tryNext()
    }

    private func connected(_ error: EventLoopError?) {
        if let error { return note("\(error)") }
        guard let context = connector.tls else { return finish() }
        do throws(TLSError) {
            let name = connector.configuration.tls?.serverName ?? connector.target.serverName
            tls = try TLSSession(context, serverName: name, buffers: connector.loop.tlsBuffers)
        } catch {
            return note("\(error)")
        }
        socket?.start(self)
        shakeHands()
    }

    private func timedOut() {
        problems.append("\(current.isEmpty ? "the name's addresses" : current): no answer in time")
        fail(problems.joined(separator: "; "))
    }

    private func fail(_ problem: String) {
        cancel()
        connector.failedToConnect(problem)
    }

    private func finish() {
        guard let socket else { return }
        timer?.close()
        self.socket = nil
        do throws(HTTP2Error) {
            connector.connected(try ClientConnection(socket, tls: tls, of: connector))
        } catch {
            socket.close()
            connector.failedToConnect("\(error)")
        }
    }

    // MARK: TLS

    /// Brings the handshake forward by what the session was given, nothing at first.
    private func shakeHands() {
        guard let tls, let socket else { return }
        let buffers = connector.loop.tlsBuffers
        buffers.clear()
        do throws(TLSError) {
            let isDone = try tls.handshake()
            guard send(buffers.ciphertext, over: socket) else { return note("the connection was lost") }
            buffers.clear()
            if isDone { finish() }
        } catch {
            // The alert that tells the server.
            _ = send(buffers.ciphertext, over: socket)
            note("\(error)")
        }
    }

    private func send(_ bytes: UnsafeRawBufferPointer, over socket: StreamConnection) -> Bool {
        bytes.isEmpty || (socket.queuedBytes == 0 && socket.write(bytes))
    }

    func connection(received bytes: UnsafeRawBufferPointer) {
        tls?.receive(bytes)
        shakeHands()
    }

    func connectionIsWritable() {}

    func connectionEnded() { note("the server closed the connection during the TLS handshake") }
}
