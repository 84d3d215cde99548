internal import CUV

/// Does something each time before a loop waits: what has gathered during a turn is done once. Does not keep the loop
/// running. ``close()`` it before the loop ends.
public final class LoopHook {
    private let handle: UnsafeMutablePointer<uv_prepare_t>
    private let body: () -> Void
    private var isOpen = true

    /// A hook that calls `body` on the loop's thread; `body` must not own the hook's owner.
    public init(on loop: EventLoop, _ body: @escaping () -> Void) {
        self.body = body
        handle = .allocate(capacity: 1)
        // These cannot fail.
        uv_prepare_init(loop.uv, handle)
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        uv_prepare_start(handle, onPrepare)
        uv_unref(generic)
    }

    deinit { handle.deallocate() }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        uv_close(generic, onHookClosed)
    }

    fileprivate func run() { if isOpen { body() } }

    private var generic: UnsafeMutablePointer<uv_handle_t> {
        UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
    }
}

private func onPrepare(_ handle: UnsafeMutablePointer<uv_prepare_t>?) {
    Unmanaged<LoopHook>.fromOpaque(handle!.pointee.data).takeUnretainedValue().run()
}

private func onHookClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<LoopHook>.fromOpaque(handle!.pointee.data).release()
}
