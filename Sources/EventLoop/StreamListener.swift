internal import CUV
internal import Glibc

/// Accepts the connections of one listening socket on a loop.
public final class StreamListener {
    /// Connections that the kernel keeps until the loop takes them: a burst while the loop is busy.
    static let backlog: Int32 = 4096

    private let loop: EventLoop
    private let handle: StreamHandle
    // Its file stays while the listener does.
    private let socket: ListeningSocket
    private let accept: (StreamConnection) -> Void
    private var isOpen = true

    /// Listens on `socket`, which the listener takes. `accept` gets every new connection and must give it a handler
    /// and start it, or close it.
    public init(
        _ socket: ListeningSocket, on loop: EventLoop, accept: @escaping (StreamConnection) -> Void
    ) throws(EventLoopError) {
        self.loop = loop
        self.socket = socket
        self.accept = accept
        handle = StreamHandle(socket.address.family == AF_UNIX ? .pipe : .tcp, on: loop)
        handle.stream.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let descriptor = socket.takeDescriptor()
        var code = handle.open(descriptor)
        if code < 0 { Glibc.close(descriptor) }
        if code == 0 { code = uv_listen(handle.stream, Self.backlog, onConnection) }
        if code < 0 {
            close()
            throw EventLoopError(code: code, doing: "listen on \(socket.address)")
        }
    }

    deinit { handle.deallocate() }

    /// Takes the connections that the kernel has already established, then stops listening: whoever is connected
    /// when the server begins to drain is served.
    public func drain() {
        guard isOpen, let descriptor = handle.descriptor else { return }
        while true {
            let accepted = Glibc.accept(descriptor, nil, nil)
            // A connection that ended while it waited is no reason to leave those behind it.
            if accepted < 0, errno == ECONNABORTED || errno == EINTR { continue }
            guard accepted >= 0 else { break }
            if let connection = try? StreamConnection(adopting: accepted, handle.kind, on: loop) { accept(connection) }
        }
        close()
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        uv_close(handle.generic, onListenerClosed)
    }

    fileprivate func acceptOne() {
        guard isOpen, let connection = try? StreamConnection(acceptingFrom: handle, on: loop) else { return }
        accept(connection)
    }
}

private func onConnection(_ handle: UnsafeMutablePointer<uv_stream_t>?, status: Int32) {
    guard status == 0 else { return }  // the connection ended before it was accepted, or no descriptors are left
    Unmanaged<StreamListener>.fromOpaque(handle!.pointee.data).takeUnretainedValue().acceptOne()
}

private func onListenerClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<StreamListener>.fromOpaque(handle!.pointee.data).release()
}
