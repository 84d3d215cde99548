internal import CUV

/// One libuv loop: sockets, timers, signals. Used by one thread at a time; only ``proxy`` may be used by any thread
/// while the loop runs.
public final class EventLoop {
    /// Bytes that one read takes at most; shared by all connections of the loop.
    private static let readBufferBytes = 64 << 10

    let uv: UnsafeMutablePointer<uv_loop_t>
    let readBuffer: UnsafeMutableRawBufferPointer
    /// The way to reach the loop from another thread.
    public let proxy: LoopProxy
    /// Runs tasks on the loop's thread.
    public let executor: LoopExecutor

    public init() throws(EventLoopError) {
        uv = .allocate(capacity: 1)
        try check(uv_loop_init(uv), "make an event loop")
        readBuffer = .allocate(byteCount: Self.readBufferBytes, alignment: 16)
        proxy = try LoopProxy(loop: uv)
        executor = LoopExecutor(loop: uv, proxy: proxy)
    }

    /// Runs until nothing is left to wait for; ``close()`` lets it end.
    public func run() {
        executor.attach()
        uv_run(uv, UV_RUN_DEFAULT)
    }

    /// Takes no more work from other threads and lets the loop end. On the loop's thread; posted work still runs.
    public func close() {
        proxy.close()
        executor.close()
    }

    /// The monotonic clock, in nanoseconds.
    public static func now() -> UInt64 { uv_hrtime() }

    deinit {
        // Handles that were closed but not reported yet are reported by this run.
        uv_run(uv, UV_RUN_NOWAIT)
        let code = uv_loop_close(uv)
        precondition(code == 0, "an event loop ended while handles were open")
        uv.deallocate()
        readBuffer.deallocate()
    }
}

/// Hands work to an event loop from any thread.
public final class LoopProxy: Sendable {
    private struct Queue {
        var work: [@Sendable () -> Void] = []
        var isOpen = true
    }

    private let queue = Locked(Queue())
    nonisolated(unsafe) private let handle: UnsafeMutablePointer<uv_async_t>

    fileprivate init(loop: UnsafeMutablePointer<uv_loop_t>) throws(EventLoopError) {
        handle = .allocate(capacity: 1)
        try check(uv_async_init(loop, handle, onWakeUp), "make a wake-up handle")
        handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { handle.deallocate() }

    /// Runs `body` on the loop's thread, in the order of the calls. Once the loop was closed, nothing runs any more.
    ///
    /// - Returns: Whether the loop takes it.
    @discardableResult
    public func post(_ body: @escaping @Sendable () -> Void) -> Bool {
        queue.withLock { queue in
            guard queue.isOpen else { return false }
            queue.work.append(body)
            uv_async_send(handle)
            return true
        }
    }

    fileprivate func close() {
        let isFirst = queue.withLock { queue in
            defer { queue.isOpen = false }
            return queue.isOpen
        }
        guard isFirst else { return }
        runPosted()
        // The proxy stays until libuv has let go of the handle.
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), onProxyClosed)
    }

    fileprivate func runPosted() {
        let work = queue.withLock { queue in
            defer { queue.work = [] }
            return queue.work
        }
        for body in work { body() }
    }
}

private func onWakeUp(_ handle: UnsafeMutablePointer<uv_async_t>?) {
    Unmanaged<LoopProxy>.fromOpaque(handle!.pointee.data).takeUnretainedValue().runPosted()
}

private func onProxyClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<LoopProxy>.fromOpaque(handle!.pointee.data).release()
}
