internal import CUV
internal import Glibc

/// The memory of a libuv stream: a TCP socket or a Unix domain socket, which libuv calls a pipe.
struct StreamHandle {
    enum Kind {
        case tcp, pipe
    }

    let kind: Kind
    let stream: UnsafeMutablePointer<uv_stream_t>

    /// A handle of `loop` without a socket yet.
    init(_ kind: Kind, on loop: EventLoop) {
        self.kind = kind
        // Neither initialiser can fail: no socket is made yet.
        switch kind {
        case .tcp:
            let tcp = UnsafeMutablePointer<uv_tcp_t>.allocate(capacity: 1)
            uv_tcp_init(loop.uv, tcp)
            stream = Self.recast(tcp)
        case .pipe:
            let pipe = UnsafeMutablePointer<uv_pipe_t>.allocate(capacity: 1)
            uv_pipe_init(loop.uv, pipe, 0)
            stream = Self.recast(pipe)
        }
    }

    /// Gives the memory back, after libuv has reported the handle closed.
    func deallocate() { UnsafeMutableRawPointer(stream).deallocate() }

    var generic: UnsafeMutablePointer<uv_handle_t> { Self.recast(stream) }

    /// The socket, nil where there is none.
    var descriptor: Int32? {
        var descriptor: uv_os_fd_t = -1
        return uv_fileno(generic, &descriptor) == 0 ? descriptor : nil
    }

    /// Takes up a socket; 0 or libuv's error.
    func open(_ descriptor: Int32) -> Int32 {
        switch kind {
        case .tcp: uv_tcp_open(Self.recast(stream), descriptor)
        case .pipe: uv_pipe_open(Self.recast(stream), descriptor)
        }
    }

    /// Begins to connect a TCP handle; 0 or libuv's error.
    func connect(
        _ request: UnsafeMutablePointer<uv_connect_t>, _ address: UnsafePointer<sockaddr>, _ done: uv_connect_cb
    ) -> Int32 { uv_tcp_connect(request, Self.recast(stream), address, done) }

    /// Begins to connect a pipe.
    func connect(_ request: UnsafeMutablePointer<uv_connect_t>, _ path: String, _ done: uv_connect_cb) {
        uv_pipe_connect(request, Self.recast(stream), path, done)
    }

    /// Does not let TCP wait for more to send (TCP_NODELAY).
    func sendAtOnce() { if kind == .tcp { uv_tcp_nodelay(Self.recast(stream), 1) } }

    private static func recast<From, To>(_ pointer: UnsafeMutablePointer<From>) -> UnsafeMutablePointer<To> {
        UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: To.self)
    }
}
