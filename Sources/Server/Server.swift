internal import Dispatch
public import FletchEventLoop
public import Logging
public import FletchRPC

/// A gRPC server: one loop per thread, each with its own listening sockets, connections and methods, sharing nothing
/// with the others.
public final class Server: Sendable {
    private struct State {
        var workers: [LoopWorker] = []
        var threads: [LoopThread] = []
        var addresses: [ListenAddress] = []
        var isDraining = false
        var finalCounters = Counters()
        var cutOffCalls = 0
        var additions: [@Sendable (Int, [Method]) -> [Method]] = []
    }

    private let configuration: ServerConfiguration
    private let logger: Logger
    private let makeMethods: @Sendable (Int) -> [Method]
    private let makeInterceptors: @Sendable (Int) -> [Interceptor]
    /// What is said of the server ("") and of its services. Services start as serving.
    public let health = HealthRegistry()
    private let state = Locked(State())

    /// A server that does not listen yet.
    ///
    /// - Parameters:
    ///   - interceptors: Makes the interceptors of one loop, called as `makeMethods`; they see the calls of all methods,
    ///     health's included, in this order.
    ///   - makeMethods: Makes the methods of one loop, called once for each on that loop's thread with its number from
    ///     0. What the methods capture is then used by that thread alone.
    public init(
        _ configuration: ServerConfiguration, logger: Logger,
        interceptors: @escaping @Sendable (Int) -> [Interceptor] = { _ in [] },
        makeMethods: @escaping @Sendable (Int) -> [Method]
    ) {
        self.configuration = configuration
        self.logger = logger
        self.makeMethods = makeMethods
        makeInterceptors = interceptors
        health.set("", .serving)
    }

    /// Adds methods about the server itself to every loop; before it starts.
    ///
    /// - Parameter makeMethods: Called as that of the initializer is, with the number of the loop and the methods that
    ///   it has so far.
    public func addMethods(_ makeMethods: @escaping @Sendable (Int, [Method]) -> [Method]) {
        state.withLock { $0.additions.append(makeMethods) }
    }

    // MARK: Running

    /// Listens and serves on threads of its own.
    ///
    /// - Returns: Where the server listens, in the order of the listeners, with the real ports where 0 was asked for.
    /// - Throws: Where an address cannot be had, in words that name it, or a thread cannot be made; nothing is left
    ///   running then.
    public func start() throws(EventLoopError) -> [ListenAddress] {
        precondition(!configuration.listeners.isEmpty, "a server needs a listener")
        LoopSignal.ignoreBrokenPipes()
        OpenFileLimit.raise()
        let (workers, addresses) = try makeWorkers()
        boundConnections(of: workers)
        state.withLock { $0.addresses = addresses }
        try startThreads(of: workers)
        for (listener, address) in zip(configuration.listeners, addresses) {
            logger.info(
                "listening on \(address)\(listener.tls == nil ? "" : " with TLS")",
                metadata: ["loops": "\(workers.count)"])
        }
        return addresses
    }

    /// Descriptors that connections leave to tables, certificates, logs, and what else a server opens while it runs.
    private static let reservedDescriptors = 32

    /// Lets no loop take more connections than its share of the descriptors. Without any left, a connection could be
    /// neither taken nor refused: it would wait in the kernel's queue until its client gives up.
    private func boundConnections(of workers: [LoopWorker]) {
        guard let available = OpenFileLimit.available else { return }
        let share = max(1, (available - Self.reservedDescriptors) / workers.count)
        guard share < configuration.maxConnectionsPerLoop else { return }
        for worker in workers { worker.maxConnections = share }
        logger.warning(
            """
            the limit of open files lets each loop take \(share) connections, not \
            \(configuration.maxConnectionsPerLoop); raise it (ulimit -n, systemd's LimitNOFILE)
            """)
    }

    /// Where the server listens, in the order of the listeners, with the real ports; empty before it does.
    public var addresses: [ListenAddress] { state.withLock { $0.addresses } }

    private func startThreads(of workers: [LoopWorker]) throws(EventLoopError) {
        let isDraining = state.withLock { state in
            state.workers = workers
            return state.isDraining
        }
        if isDraining { for worker in workers { worker.proxy.post { worker.drain() } } }
        for (number, worker) in workers.enumerated() {
            do throws(EventLoopError) {
                let thread = try LoopThread { [self] in run(worker) }
                state.withLock { $0.threads.append(thread) }
            } catch {
                let idle = workers[number...]
                state.withLock { $0.workers.removeLast(idle.count) }
                for worker in idle { worker.abandon() }
                // Twice: nobody was promised an answer yet.
                shutDown()
                shutDown()
                wait()
                throw error
            }
        }
    }

    private func makeWorkers() throws(EventLoopError) -> ([LoopWorker], [ListenAddress]) {
        let count = max(1, configuration.loopCount)
        var sockets: [[ListeningSocket]] = []
        for listener in configuration.listeners {
            sockets.append(try ListeningSocket.bind(listener.address, count: count))
        }
        var workers: [LoopWorker] = []
        do throws(EventLoopError) {
            for index in 0..<count {
                workers.append(
                    try LoopWorker(
                        index: index, sockets: sockets.map { $0[index] }, configuration: configuration, logger: logger,
                        server: self))
            }
        } catch {
            for worker in workers { worker.abandon() }
            throw error
        }
        return (workers, sockets.map { $0[0].address })
    }

    /// Waits until the server has drained.
    ///
    /// - Returns: How many calls were cut off because they were still open after the drain timeout; 0 is a clean end.
    @discardableResult
    public func wait() -> Int {
        let threads = state.withLock { state in
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
        let (counters, cutOff) = state.withLock { ($0.finalCounters, $0.cutOffCalls) }
        logger.info("ended: \(counters)", metadata: cutOff > 0 ? ["calls_cut_off": "\(cutOff)"] : [:])
        return cutOff
    }

    /// Begins to drain, from any thread: health says NOT_SERVING at once; after the lame-duck delay no connection is
    /// accepted, peers get a GOAWAY, and calls under way are answered. A second call cuts them off. A server that is
    /// shut down before it starts drains as soon as it does.
    public func shutDown() {
        health.beginDrain()
        logger.info("draining")
        let workers = state.withLock { state in
            state.isDraining = true
            return state.workers
        }
        for worker in workers { worker.proxy.post { worker.drain() } }
    }

    private func run(_ worker: LoopWorker) {
        var methods = makeMethods(worker.index)
        health.register(methods.compactMap { serviceName(ofPath: $0.path) })
        for add in state.withLock({ $0.additions }) { methods += add(worker.index, methods) }
        if worker.index == 0 { checkLimits(methods) }
        let cutOff = worker.run(methods: methods, interceptors: makeInterceptors(worker.index))
        state.withLock { state in
            state.finalCounters = state.finalCounters + worker.counters
            state.cutOffCalls += cutOff
            state.workers.removeAll { $0 === worker }
        }
        guard let first = state.withLock({ $0.workers.first }) else { return }
        first.proxy.post { first.finishIfDone() }
    }

    /// Whether no other loop than that of `worker` runs.
    func isLast(_ worker: LoopWorker) -> Bool { state.withLock { $0.workers.allSatisfy { $0 === worker } } }

    /// Names limits that cannot be meant as they are.
    private func checkLimits(_ methods: [Method]) {
        let limits = configuration.callLimits
        for path in limits.maxRequestBytesByPath.keys where !methods.contains(where: { $0.path == path }) {
            logger.warning("callLimits.maxRequestBytesByPath: the server has no method '\(path)'")
        }
        let loops = max(1, configuration.loopCount)
        if limits.share(ofLoops: loops).maxBytesInFlight < limits.maxRequestBytes {
            logger.warning(
                """
                callLimits.maxBytesInFlight: a loop's share of \(limits.maxBytesInFlight) over \(loops) is less than the \
                largest request, \(limits.maxRequestBytes); such requests will be shed
                """)
        }
    }

    // MARK: Loops

    /// Runs `body` with its number on every loop's thread, between calls: there it may exchange what the loop's
    /// methods use, without locks. `completion` runs after the last of them, on one of the loops' threads.
    public func onEachLoop(
        _ body: @escaping @Sendable (Int) -> Void, completion: (@Sendable () -> Void)? = nil
    ) {
        let workers = state.withLock { $0.workers }
        let barrier = Countdown(workers.count + 1, completion)
        for worker in workers {
            let isPosted = worker.proxy.post {
                body(worker.index)
                barrier.step()
            }
            if !isPosted { barrier.step() }
        }
        barrier.step()
    }

    // MARK: Counters

    /// The sum over all loops, those that have ended included. Not from a loop's own thread: it waits for them.
    public func counters() -> Counters {
        let done = DispatchSemaphore(value: 0)
        let sum = Locked(Counters())
        gatherCounters { counters in
            sum.withLock { $0 = counters }
            done.signal()
        }
        done.wait()
        return sum.withLock { $0 }
    }

    /// The same for tasks, those of a loop included.
    public func counters() async -> Counters {
        await withCheckedContinuation { continuation in gatherCounters { continuation.resume(returning: $0) } }
    }

    /// Logs the counters of all loops, and metrics where they are collected; from any thread.
    public func logCounters() {
        gatherCounters { [logger] counters in
            logger.info("counters: \(counters)")
            for (path, metrics) in counters.methods.sorted(by: { $0.key < $1.key }) {
                logger.info("metrics of \(path): \(metrics)")
            }
            for (name, value) in counters.values.sorted(by: { $0.key < $1.key }) {
                logger.info("metric \(name): \(value)")
            }
        }
    }

    private func gatherCounters(completion: @escaping @Sendable (Counters) -> Void) {
        let ended = state.withLock { $0.finalCounters }
        gather(\.counters) { completion($0.reduce(ended, +)) }
    }

    // MARK: Connections

    /// The numbers of all connections that are open, in their order.
    public func connectionIDs() async -> [Int] {
        await withCheckedContinuation { continuation in
            gather(\.connectionIDs) { continuation.resume(returning: $0.joined().sorted()) }
        }
    }

    /// What a connection has done so far; nil where no open one has the number.
    public func report(ofConnection id: Int) async -> ConnectionReport? {
        await withCheckedContinuation { continuation in
            gather({ $0.report(ofConnection: id) }) { reports in
                continuation.resume(returning: reports.lazy.compactMap(\.self).first)
            }
        }
    }

    /// Asks every loop on its own thread, between calls; `completion` has the answers of those that run, on one of
    /// their threads.
    private func gather<Answer: Sendable>(
        _ ask: @escaping @Sendable (LoopWorker) -> Answer, completion: @escaping @Sendable ([Answer]) -> Void
    ) {
        let workers = state.withLock { $0.workers }
        let answers = Locked<[Answer]>([])
        let barrier = Countdown(workers.count + 1) { completion(answers.withLock { $0 }) }
        for worker in workers {
            let isPosted = worker.proxy.post {
                let answer = ask(worker)
                answers.withLock { $0.append(answer) }
                barrier.step()
            }
            if !isPosted { barrier.step() }
        }
        barrier.step()
    }
}

/// Runs something once `count` steps are done.
private final class Countdown: Sendable {
    private let remaining: Locked<Int>
    private let completion: (@Sendable () -> Void)?

    init(_ count: Int, _ completion: (@Sendable () -> Void)?) {
        remaining = Locked(count)
        self.completion = completion
    }

    func step() {
        let isLast = remaining.withLock { remaining in
            remaining -= 1
            return remaining == 0
        }
        if isLast { completion?() }
    }
}

/// `fletch.v1.RelatedProducts` of `/fletch.v1.RelatedProducts/Related`.
private func serviceName(ofPath path: String) -> String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 3 ? String(parts[1]) : nil
}
