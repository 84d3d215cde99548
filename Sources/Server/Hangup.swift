public import Dispatch
internal import Glibc

/// SIGHUP, which tells a server to look at its files again.
public enum Hangup {
    // Once: a second time would take the signal from those who already listen.
    private static let isIgnored: Void = { _ = signal(SIGHUP, SIG_IGN) }()

    /// A source that fires on `queue` at every SIGHUP, which no longer ends the process then; any number may exist.
    public static func makeSource(queue: DispatchQueue) -> any DispatchSourceSignal {
        _ = isIgnored
        return DispatchSource.makeSignalSource(signal: SIGHUP, queue: queue)
    }
}
