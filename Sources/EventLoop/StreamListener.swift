internal import CUV
internal import Glibc

/// Accepts the connections of one listening socket on a loop.
public final class TCPListener {
    /// Connections that the kernel keeps until the loop takes them: a burst while the loop is busy.
    private static let backlog: Int32 = 4096

    private let loop: EventLoop
    private let handle: UnsafeMutablePointer<uv_tcp_t>
    private let descriptor: Int32
    private let accept: (TCPConnection) -> Void
    private var isOpen = true

    /// Listens on `socket`, whose descriptor the listener owns from here on. `accept` gets every new connection and
    /// must give it a handler and start it, or close it.
    public init(
        _ socket: ListeningSocket, on loop: EventLoop, accept: @escaping (TCPConnection) -> Void
    ) throws(EventLoopError) {
        self.loop = loop
        self.accept = accept
        descriptor = socket.descriptor
        handle = .allocate(capacity: 1)
        try check(uv_tcp_init(loop.uv, handle), "make a TCP handle")
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        var code = uv_tcp_open(handle, socket.descriptor)
        if code == 0 { code = uv_listen(streamHandle(handle), Self.backlog, onConnection) }
        if code < 0 {
            close()
            throw EventLoopError(code: code, doing: "listen on \(socket.address)")
        }
    }

    deinit { handle.deallocate() }

    /// Takes the connections that the kernel has already established, then stops listening: whoever is connected
    /// when the server begins to drain is served.
    public func drain() {
        guard isOpen else { return }
        while true {
            let accepted = Glibc.accept(descriptor, nil, nil)
            // A connection that ended while it waited is no reason to leave those behind it.
            if accepted < 0, errno == ECONNABORTED || errno == EINTR { continue }
            guard accepted >= 0 else { break }
            if let connection = TCPConnection(adopting: accepted, on: loop) { accept(connection) }
        }
        close()
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), onListenerClosed)
    }

    fileprivate func acceptOne() {
        guard isOpen, let connection = TCPConnection(acceptingFrom: handle, on: loop) else { return }
        accept(connection)
    }
}

private func onConnection(_ handle: UnsafeMutablePointer<uv_stream_t>?, status: Int32) {
    guard status == 0 else { return }  // the connection ended before it was accepted, or no descriptors are left
    Unmanaged<TCPListener>.fromOpaque(handle!.pointee.data).takeUnretainedValue().acceptOne()
}

private func onListenerClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<TCPListener>.fromOpaque(handle!.pointee.data).release()
}

func streamHandle(_ handle: UnsafeMutablePointer<uv_tcp_t>) -> UnsafeMutablePointer<uv_stream_t> {
    UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_stream_t.self)
}
