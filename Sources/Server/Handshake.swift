internal import FletchEventLoop
internal import Logging
internal import FletchTLS

/// An accepted connection whose TLS handshake is under way. It costs no HTTP/2 session before it becomes a
/// ``Connection``, and is cut off where it takes too long.
final class Handshake: StreamConnectionHandler, RosterMember {
    private enum Phase {
        case open
        /// The peer was told why it is refused; what it still sends is dropped until it closes.
        case refused(since: UInt64)
        case over
    }

    private let socket: StreamConnection
    private let tls: TLSSession
    private unowned(unsafe) let worker: LoopWorker
    var index = 0
    private let acceptedAt: UInt64
    private var phase = Phase.open

    init(_ socket: StreamConnection, _ tls: TLSSession, worker: LoopWorker, now: UInt64) {
        self.socket = socket
        self.tls = tls
        self.worker = worker
        acceptedAt = now
    }

    func start() { socket.start(self) }

    // MARK: StreamConnectionHandler

    func connection(received bytes: UnsafeRawBufferPointer) {
        guard case .open = phase else { return }
        let buffers = worker.tlsBuffers
        buffers.clear()
        tls.receive(bytes)
        do throws(TLSError) {
            let isDone = try tls.handshake()
            guard buffers.ciphertext.isEmpty || socket.write(buffers.ciphertext) else {
                close()
                return
            }
            buffers.clear()
            if isDone { serve() } else if socket.queuedBytes > 0 { socket.pauseReading() }
        } catch {
            refuse(error)
        }
    }

    func connectionIsWritable() { socket.resumeReading() }

    func connectionEnded() { close() }

    // MARK: The end

    private func serve() {
        phase = .over
        worker.open(socket, tls: tls)
        worker.remove(self)
    }

    private func refuse(_ error: TLSError) {
        worker.logger.debug("TLS handshake with \(socket.peerAddress) failed: \(error)")
        let alert = worker.tlsBuffers.ciphertext
        guard alert.isEmpty || socket.write(alert), socket.queuedBytes == 0 else {
            close()
            return
        }
        phase = .refused(since: EventLoop.now())
        socket.finishWriting()
    }

    func close() {
        if case .over = phase { return }
        phase = .over
        socket.close()
        worker.remove(self)
    }

    /// Closes what takes too long.
    func judge(at moment: Moment) {
        switch phase {
        case .over: return
        case .refused(let since):
            if moment.isLater(than: worker.lifeSettings.linger, since: since) { close() }
        case .open:
            guard moment.isLater(than: worker.lifeSettings.handshake, since: acceptedAt) else { return }
            worker.logger.debug("connection closed: no TLS handshake in time")
            close()
        }
    }
}
