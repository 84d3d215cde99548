internal import CUV
internal import Glibc

/// What a connection tells its owner, on the loop's thread.
public protocol StreamConnectionHandler: AnyObject {
    /// Bytes arrived; they are valid during the call.
    func connection(received bytes: UnsafeRawBufferPointer)

    /// All bytes given to ``StreamConnection/write(_:)`` have left.
    func connectionIsWritable()

    /// The peer closed or the connection failed: close it. Not called after ``StreamConnection/close()``.
    func connectionEnded()
}

/// One connection, accepted or made, over TCP or a Unix domain socket.
public final class StreamConnection {
    /// Bytes of unsent output that a connection keeps room for once it has needed it.
    private static let keptQueueCapacity = 64 << 10

    private let loop: EventLoop
    private let handle: StreamHandle
    private let request: UnsafeMutablePointer<uv_write_t>
    private unowned(unsafe) var handler: (any StreamConnectionHandler)?
    private var queue = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var isOpen = true
    private var stream: UnsafeMutablePointer<uv_stream_t> { handle.stream }

    /// Bytes written but not yet taken by the system.
    public private(set) var queuedBytes = 0
    /// Bytes that the system has taken so far.
    public private(set) var sentBytes: UInt64 = 0

    private init(
        _ kind: StreamHandle.Kind, on loop: EventLoop, open: (StreamHandle) -> Int32
    ) throws(EventLoopError) {
        self.loop = loop
        handle = StreamHandle(kind, on: loop)
        request = .allocate(capacity: 1)
        // libuv holds the connection until it is closed.
        handle.stream.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let code = open(handle)
        guard code == 0 else {
            close()
            throw EventLoopError(code: code)
        }
        handle.sendAtOnce()
    }

    convenience init(acceptingFrom listener: StreamHandle, on loop: EventLoop) throws(EventLoopError) {
        try self.init(listener.kind, on: loop) { uv_accept(listener.stream, $0.stream) }
    }

    convenience init(
        adopting descriptor: Int32, _ kind: StreamHandle.Kind, on loop: EventLoop
    ) throws(EventLoopError) {
        try self.init(kind, on: loop) { handle in
            let code = handle.open(descriptor)
            if code != 0 { Glibc.close(descriptor) }
            return code
        }
    }

    /// A connection that is being made; ``close()`` gives it up.
    ///
    /// - Parameter completion: Called on the loop's thread when the connection stands (nil), or when there is none; not
    ///   after ``close()``.
    /// - Throws: Where the system refuses at once, for example an address to which it has no route.
    public convenience init(
        to peer: Peer, on loop: EventLoop, completion: @escaping (EventLoopError?) -> Void
    ) throws(EventLoopError) {
        let kind: StreamHandle.Kind = if case .unix = peer { .pipe } else { .tcp }
        try self.init(kind, on: loop) { $0.connect(to: peer, completion) }
    }

    /// What a connection is made to.
    public enum Peer: Sendable {
        case internet(SocketAddress)
        /// The path of a socket's file, at most ``ListenAddress/maxPathBytes`` long.
        case unix(path: String)
    }

    deinit {
        handle.deallocate()
        request.deallocate()
        queue.deallocate()
    }

    /// The peer's address: `127.0.0.1:5123`, `[::1]:5123`, `unix:`. Empty where the peer has already gone.
    public var peerAddress: String {
        handle.descriptor.flatMap { SocketAddress(of: $0) { getpeername($0, $1, $2) } }?.text ?? ""
    }

    /// The address that the peer has reached, in the same forms.
    public var localAddress: String {
        handle.descriptor.flatMap { SocketAddress(of: $0) { getsockname($0, $1, $2) } }?.text ?? ""
    }

    /// Begins to read, or to tell another handler what is read; `handler` is not retained and must live until
    /// ``close()`` or until another takes its place.
    public func start(_ handler: any StreamConnectionHandler) {
        self.handler = handler
        resumeReading()
    }

    public func resumeReading() {
        guard isOpen else { return }
        uv_read_start(stream, provideBuffer, onRead)
    }

    public func pauseReading() {
        guard isOpen else { return }
        uv_read_stop(stream)
    }

    /// Sends `bytes`: what the system takes at once leaves now, the rest is copied and follows; write again only
    /// after ``StreamConnectionHandler/connectionIsWritable()``.
    ///
    /// - Returns: false where the connection has failed.
    public func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        precondition(queuedBytes == 0, "wrote to a connection that still has bytes queued")
        guard isOpen else { return false }
        var buffer = uv_buf_t(base: cString(bytes.baseAddress), len: bytes.count)
        let code = uv_try_write(stream, &buffer, 1)
        if code < 0, code != UV_EAGAIN.rawValue { return false }
        let sent = Int(max(0, code))
        sentBytes &+= UInt64(sent)
        return sent == bytes.count || enqueue(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
    }

    /// Tells the peer that nothing more will be sent, while what it sends is still read: a plain close with unread
    /// bytes would reset the connection and could cost the peer our last answers.
    public func finishWriting() {
        guard isOpen, let descriptor = handle.descriptor else { return }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Closes the connection; bytes that still wait are dropped. The handler hears nothing more.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        handler = nil
        uv_close(handle.generic, onConnectionClosed)
    }

    private func enqueue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if queue.count < bytes.count {
            queue.deallocate()
            queue = .allocate(byteCount: bytes.count, alignment: 16)
        }
        queue.copyMemory(from: bytes)
        queuedBytes = bytes.count
        var buffer = uv_buf_t(base: cString(queue.baseAddress), len: bytes.count)
        return uv_write(request, stream, &buffer, 1, onWritten) == 0
    }

    /// Whether ``close()`` was not called.
    var isStanding: Bool { isOpen }

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

private func connection(_ data: UnsafeMutableRawPointer?) -> StreamConnection {
    Unmanaged<StreamConnection>.fromOpaque(data!).takeUnretainedValue()
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
    Unmanaged<StreamConnection>.fromOpaque(handle!.pointee.data).release()
}

extension StreamHandle {
    /// Begins to connect; 0 or libuv's error.
    fileprivate func connect(
        to peer: StreamConnection.Peer, _ completion: @escaping (EventLoopError?) -> Void
    ) -> Int32 {
        let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged.passRetained(Completion(completion)).toOpaque()
        var code: Int32 = 0
        switch peer {
        case .internet(let address): code = address.withPointer { connect(request, $0, onConnected) }
        case .unix(let path): connect(request, path, onConnected)
        }
        if code != 0 {
            Unmanaged<Completion>.fromOpaque(request.pointee.data).release()
            request.deallocate()
        }
        return code
    }
}

private final class Completion {
    let call: (EventLoopError?) -> Void

    init(_ call: @escaping (EventLoopError?) -> Void) { self.call = call }
}

private func onConnected(_ request: UnsafeMutablePointer<uv_connect_t>?, status: Int32) {
    let completion = Unmanaged<Completion>.fromOpaque(request!.pointee.data).takeRetainedValue()
    let connection = connection(request!.pointee.handle.pointee.data)
    request!.deallocate()
    guard connection.isStanding else { return }
    completion.call(status == 0 ? nil : EventLoopError(code: status))
}
