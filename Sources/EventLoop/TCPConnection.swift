internal import CUV
internal import Glibc

/// What a connection tells its owner, on the loop's thread.
public protocol TCPConnectionHandler: AnyObject {
    /// Bytes arrived; they are valid during the call.
    func connection(received bytes: UnsafeRawBufferPointer)

    /// All bytes given to ``TCPConnection/write(_:)`` have left.
    func connectionIsWritable()

    /// The peer closed or the connection failed: close it. Not called after ``TCPConnection/close()``.
    func connectionEnded()
}

/// One accepted TCP connection.
public final class TCPConnection {
    /// Bytes of unsent output that a connection keeps room for once it has needed it.
    private static let keptQueueCapacity = 64 << 10

    private let loop: EventLoop
    private let handle: UnsafeMutablePointer<uv_tcp_t>
    private let request: UnsafeMutablePointer<uv_write_t>
    private unowned(unsafe) var handler: (any TCPConnectionHandler)?
    private var queue = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var isOpen = true

    /// Bytes written but not yet taken by the system.
    public private(set) var queuedBytes = 0
    /// Bytes that the system has taken so far.
    public private(set) var sentBytes: UInt64 = 0

    private init?(on loop: EventLoop, open: (UnsafeMutablePointer<uv_tcp_t>) -> Int32) {
        self.loop = loop
        handle = .allocate(capacity: 1)
        request = .allocate(capacity: 1)
        uv_tcp_init(loop.uv, handle)  // always 0: no socket is made yet
        // libuv holds the connection until it is closed.
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        guard open(handle) == 0 else {
            close()
            return nil
        }
        uv_tcp_nodelay(handle, 1)
    }

    convenience init?(acceptingFrom listener: UnsafeMutablePointer<uv_tcp_t>, on loop: EventLoop) {
        self.init(on: loop) { uv_accept(streamHandle(listener), streamHandle($0)) }
    }

    convenience init?(adopting descriptor: Int32, on loop: EventLoop) {
        self.init(on: loop) { handle in
            let code = uv_tcp_open(handle, descriptor)
            if code != 0 { Glibc.close(descriptor) }
            return code
        }
    }

    deinit {
        handle.deallocate()
        request.deallocate()
        queue.deallocate()
    }

    /// The peer's address: `127.0.0.1:5123`, `[::1]:5123`. Empty where the peer has already gone.
    public var peerAddress: String {
        descriptor.flatMap { SocketAddress(of: $0) { getpeername($0, $1, $2) } }?.text ?? ""
    }

    /// The address that the peer has reached; empty where the peer has already gone.
    public var localAddress: String {
        descriptor.flatMap { SocketAddress(of: $0) { getsockname($0, $1, $2) } }?.text ?? ""
    }

    private var descriptor: Int32? {
        var descriptor: uv_os_fd_t = -1
        let handle = UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
        return isOpen && uv_fileno(handle, &descriptor) == 0 ? descriptor : nil
    }

    /// Begins to read; `handler` is not retained and must live until ``close()``.
    public func start(_ handler: any TCPConnectionHandler) {
        self.handler = handler
        resumeReading()
    }

    public func resumeReading() {
        guard isOpen else { return }
        uv_read_start(streamHandle(handle), provideBuffer, onRead)
    }

    public func pauseReading() {
        guard isOpen else { return }
        uv_read_stop(streamHandle(handle))
    }

    /// Sends `bytes`: what the system takes at once leaves now, the rest is copied and follows; write again only
    /// after ``TCPConnectionHandler/connectionIsWritable()``.
    ///
    /// - Returns: false where the connection has failed.
    public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        precondition(queuedBytes == 0, "wrote to a connection that still has bytes queued")
        guard isOpen else { return false }
        var buffer = uv_buf_t(base: cString(bytes.baseAddress), len: bytes.count)
        let code = uv_try_write(streamHandle(handle), &buffer, 1)
        if code < 0, code != UV_EAGAIN.rawValue { return false }
        let sent = Int(max(0, code))
        sentBytes &+= UInt64(sent)
        return sent == bytes.count || enqueue(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
    }

    /// Tells the peer that nothing more will be sent, while what it sends is still read: a plain close with unread
    /// bytes would reset the connection and could cost the peer our last answers.
    public func finishWriting() {
        if let descriptor { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    /// Closes the connection; bytes that still wait are dropped. The handler hears nothing more.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        handler = nil
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), onConnectionClosed)
    }

    private func enqueue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if queue.count < bytes.count {
            queue.deallocate()
            queue = .allocate(byteCount: bytes.count, alignment: 16)
        }
        queue.copyMemory(from: bytes)
        queuedBytes = bytes.count
        var buffer = uv_buf_t(base: cString(queue.baseAddress), len: bytes.count)
        return uv_write(request, streamHandle(handle), &buffer, 1, onWritten) == 0
    }

    fileprivate func finishedWriting(_ status: Int32) {
        sentBytes &+= UInt64(queuedBytes)
        queuedBytes = 0
        guard isOpen else { return }
        if queue.count > Self.keptQueueCapacity {
            queue.deallocate()
            queue = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        if status == 0 { handler?.connectionIsWritable() } else { handler?.connectionEnded() }
    }

    fileprivate func finishedReading(_ count: Int, _ bytes: UnsafeMutablePointer<CChar>?) {
        guard isOpen, let handler else { return }
        if count > 0 {
            handler.connection(received: UnsafeRawBufferPointer(start: bytes, count: count))
        } else if count < 0 {
            handler.connectionEnded()
        }
    }

    fileprivate var readBuffer: uv_buf_t {
        uv_buf_t(base: cString(UnsafeRawPointer(loop.readBuffer.baseAddress)), len: loop.readBuffer.count)
    }
}

private func cString(_ bytes: UnsafeRawPointer?) -> UnsafeMutablePointer<CChar>? {
    UnsafeMutableRawPointer(mutating: bytes)?.assumingMemoryBound(to: CChar.self)
}

private func connection(_ data: UnsafeMutableRawPointer?) -> TCPConnection {
    Unmanaged<TCPConnection>.fromOpaque(data!).takeUnretainedValue()
}

private func provideBuffer(
    _ handle: UnsafeMutablePointer<uv_handle_t>?, _: Int, _ buffer: UnsafeMutablePointer<uv_buf_t>?
) {
    buffer!.pointee = connection(handle!.pointee.data).readBuffer
}

private func onRead(_ handle: UnsafeMutablePointer<uv_stream_t>?, count: Int, buffer: UnsafePointer<uv_buf_t>?) {
    connection(handle!.pointee.data).finishedReading(count, buffer!.pointee.base)
}

private func onWritten(_ request: UnsafeMutablePointer<uv_write_t>?, status: Int32) {
    connection(request!.pointee.handle.pointee.data).finishedWriting(status)
}

private func onConnectionClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<TCPConnection>.fromOpaque(handle!.pointee.data).release()
}
