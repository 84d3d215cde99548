internal import Dispatch
internal import FletchEventLoop
internal import Glibc
public import Logging
public import FletchTLS

/// The TLS context that new connections of a listener get. It is exchanged while the server runs, when its files
/// change; connections keep the one they began with.
///
/// Files that cannot be used are refused and logged, and change nothing.
public final class TLSContextStore: Sendable {
    /// How often the files are looked at.
    private static let pollInterval = DispatchTimeInterval.seconds(1)
    /// After how long refused files are tried again though they are the same: the fault may have been the machine's.
    private static let retryInterval = Duration.seconds(60)

    private let files: TLSFiles
    private let logger: Logger
    private let queue = DispatchQueue(label: "tls-context-store")
    private let state: Locked<State>
    /// Held while files are loaded: of two loads at once, that of older files must not end last.
    private let loading = Locked(())

    private struct State {
        var context: TLSContext
        /// The files as they were when they were last loaded, or refused.
        var tried: [FileStamp?]
        var refusedAt: ContinuousClock.Instant?
        /// The files as the last look found them.
        var seen: [FileStamp?]
        var sources: KeptSources?
    }

    /// Loads the files.
    ///
    /// - Throws: Where they cannot be used, in words that name the file and the remedy.
    public init(_ files: TLSFiles, logger: Logger) throws(TLSError) {
        self.files = files
        self.logger = logger
        let stamps = Self.stamps(of: files)
        let context = try TLSContext(files)
        state = Locked(State(context: context, tried: stamps, seen: stamps))
        log(context)
    }

    deinit { state.withLock { $0.sources }?.cancel() }

    /// What a connection that begins now is to use.
    public var current: TLSContext { state.withLock { $0.context } }

    /// Follows the files from now on: when they change, and at SIGHUP, they are loaded again.
    public func follow() {
        let hangup = Hangup.makeSource(queue: queue)
        hangup.setEventHandler { [weak self] in self?.reload() }
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + Self.pollInterval, repeating: Self.pollInterval)
        timer.setEventHandler { [weak self] in self?.poll() }
        hangup.resume()
        timer.resume()
        let kept = KeptSources(sources: [hangup, timer])
        state.withLock { $0.sources = kept }
    }

    private func poll() {
        let stamps = Self.stamps(of: files)
        let isDue = state.withLock { state in
            defer { state.seen = stamps }
            // Certificate and key are replaced one after the other: wait until a whole interval has changed nothing.
            if stamps != state.tried { return stamps == state.seen }
            return state.refusedAt.map { .now - $0 >= Self.retryInterval } ?? false
        }
        if isDue { reload() }
    }

    /// Loads the files now; what they were before stays in use where they are refused.
    public func reload() {
        loading.withLock { _ in load() }
    }

    private func load() {
        let stamps = Self.stamps(of: files)
        do throws(TLSError) {
            let context = try TLSContext(files)
            state.withLock {
                $0.context = context
                $0.tried = stamps
                $0.refusedAt = nil
            }
            log(context)
        } catch {
            let kept = state.withLock { state in
                state.tried = stamps
                state.refusedAt = .now
                return state.context
            }
            logger.error(
                "refused new TLS files and keeps the certificate that is valid until \(kept.validUntil): \(error)")
        }
    }

    private func log(_ context: TLSContext) {
        logger.info(
            "using the certificate of '\(files.certificateChain)'", metadata: ["valid_until": "\(context.validUntil)"])
    }

    private static func stamps(of files: TLSFiles) -> [FileStamp?] {
        [files.certificateChain, files.privateKey, files.clientAuthorities].map { $0.flatMap(FileStamp.init) }
    }
}

/// What changes when a file is replaced or written.
private struct FileStamp: Equatable {
    private let device: dev_t
    private let inode: ino_t
    private let bytes: off_t
    private let seconds: Int
    private let nanoseconds: Int

    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = status.st_dev
        inode = status.st_ino
        bytes = status.st_size
        seconds = status.st_mtim.tv_sec
        nanoseconds = status.st_mtim.tv_nsec
    }
}

/// Event sources that live as long as their owner; nobody touches them in between.
private struct KeptSources: @unchecked Sendable {
    let sources: [any DispatchSourceProtocol]

    func cancel() { for source in sources { source.cancel() } }
}
