internal import CUV

/// A timer of a loop, used again and again. ``close()`` it before the loop ends.
public final class LoopTimer {
    private let handle: UnsafeMutablePointer<uv_timer_t>
    private let fire: () -> Void
    private var isOpen = true

    /// A timer that calls `fire` on the loop's thread; `fire` must not own the timer's owner.
    public init(on loop: EventLoop, _ fire: @escaping () -> Void) {
        self.fire = fire
        handle = .allocate(capacity: 1)
        uv_timer_init(loop.uv, handle)  // always 0
        // libuv holds the timer until it is closed.
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    deinit { handle.deallocate() }

    /// Fires after `milliseconds`, and then every `interval` milliseconds where that is not 0. Replaces what was set.
    public func start(after milliseconds: UInt64, every interval: UInt64 = 0) {
        guard isOpen else { return }
        uv_timer_start(handle, onTimer, milliseconds, interval)
    }

    public func stop() {
        guard isOpen else { return }
        uv_timer_stop(handle)
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), onTimerClosed)
    }

    fileprivate func fired() { if isOpen { fire() } }
}

private func onTimer(_ handle: UnsafeMutablePointer<uv_timer_t>?) {
    Unmanaged<LoopTimer>.fromOpaque(handle!.pointee.data).takeUnretainedValue().fired()
}

private func onTimerClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<LoopTimer>.fromOpaque(handle!.pointee.data).release()
}
