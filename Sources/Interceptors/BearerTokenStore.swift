internal import Dispatch
internal import FletchEventLoop
public import Logging
internal import FletchServer
internal import Synchronization

/// The tokens of a file, read again at SIGHUP. A file that cannot be used is refused and logged, and changes nothing.
public final class BearerTokenStore: Sendable {
    private let path: String
    private let logger: Logger
    private let queue = DispatchQueue(label: "bearer-token-store")
    private let state: Locked<State>
    /// Grows with every exchange: spares the loops the lock.
    private let exchanges = Atomic<Int>(0)

    private struct State {
        var tokens: BearerTokens
        var hangup: KeptSource?
    }

    /// Reads the file.
    ///
    /// - Throws: Where it cannot be used.
    public init(path: String, logger: Logger) throws(BearerTokens.Invalid) {
        self.path = path
        self.logger = logger
        state = Locked(State(tokens: try BearerTokens(file: path)))
    }

    deinit { state.withLock { $0.hangup }?.source.cancel() }

    /// Reads the file again at every SIGHUP from now on.
    public func follow() {
        let hangup = Hangup.makeSource(queue: queue)
        hangup.setEventHandler { [weak self] in self?.reload() }
        hangup.resume()
        let kept = KeptSource(source: hangup)
        state.withLock { $0.hangup = kept }
    }

    /// Reads the file now.
    public func reload() {
        do throws(BearerTokens.Invalid) {
            let tokens = try BearerTokens(file: path)
            state.withLock { $0.tokens = tokens }
            exchanges.add(1, ordering: .releasing)
            logger.info("using \(tokens.count) bearer tokens of '\(path)'")
        } catch {
            logger.error("refused new bearer tokens and keeps those in use: \(error)")
        }
    }

    var tokens: BearerTokens { state.withLock { $0.tokens } }
    var exchangeCount: Int { exchanges.load(ordering: .acquiring) }
}

/// A source that lives as long as its owner; nobody touches it in between.
private struct KeptSource: @unchecked Sendable {
    let source: any DispatchSourceSignal
}
