internal import Glibc

/// A thread that runs one event loop.
public struct LoopThread: @unchecked Sendable {
    // pthread_t is an integer or pointer that any thread may use.
    private let thread: pthread_t

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts `body` on a thread of its own.
    public init(_ body: @escaping @Sendable () -> Void) throws(EventLoopError) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Body(body))
        let code = pthread_create(
            &thread, nil,
            {
                Unmanaged<Body>.fromOpaque($0!).takeRetainedValue().run(); return nil
            }, box.toOpaque())
        guard code == 0 else {
            box.release()
            throw EventLoopError(code: -code, doing: "start a thread")
        }
        self.thread = thread
    }

    /// Waits until the thread has ended; once only.
    public func join() { pthread_join(thread, nil) }
}
