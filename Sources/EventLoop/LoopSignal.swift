internal import CUV
internal import Glibc

/// Watches one signal on a loop. ``close()`` it before the loop ends.
public final class LoopSignal {
    /// The signals that a server listens to.
    public enum Kind: Sendable {
        case terminate, interrupt, user1

        var number: Int32 {
            switch self {
            case .terminate: SIGTERM
            case .interrupt: SIGINT
            case .user1: SIGUSR1
            }
        }
    }

    private let handle: UnsafeMutablePointer<uv_signal_t>
    private let received: () -> Void
    private var isOpen = true

    /// Calls `received` on the loop's thread for every `kind` that the process gets.
    public init(_ kind: Kind, on loop: EventLoop, _ received: @escaping () -> Void) throws(EventLoopError) {
        self.received = received
        handle = .allocate(capacity: 1)
        try check(uv_signal_init(loop.uv, handle), "watch signal \(kind.number)")
        handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let code = uv_signal_start(handle, onSignal, kind.number)
        if code < 0 {
            close()
            throw EventLoopError(code: code, doing: "watch signal \(kind.number)")
        }
    }

    deinit { handle.deallocate() }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self), onSignalClosed)
    }

    /// A peer that closes while we write is an error of the write, not a reason for the process to end.
    public static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    fileprivate func fired() { if isOpen { received() } }
}

private func onSignal(_ handle: UnsafeMutablePointer<uv_signal_t>?, number: Int32) {
    Unmanaged<LoopSignal>.fromOpaque(handle!.pointee.data).takeUnretainedValue().fired()
}

private func onSignalClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<LoopSignal>.fromOpaque(handle!.pointee.data).release()
}
