internal import Dispatch
public import EventLoop
public import Logging
public import RPC
internal import ServiceSchema

/// A gRPC server: one loop per thread, each with its own listener (SO_REUSEPORT), connections and methods, sharing
/// nothing with the others.
public final class Server: Sendable {
    private struct State {
        var workers: [LoopWorker] = []
        var threads: [LoopThread] = []
        var finalCounters = Counters()
        var cutOffCalls = 0
    }

    private let configuration: ServerConfiguration
    private let logger: Logger
    private let makeMethods: @Sendable (Int) -> [Method]
    private let health = HealthRegistry()
    private let state = Locked(State())

    /// A server that does not listen yet.
    ///
    /// - Parameter makeMethods: Makes the methods of one loop, called once for each on that loop's thread with its
    ///   number from 0. What the methods capture is then used by that thread alone.
    public init(
        _ configuration: ServerConfiguration, logger: Logger, makeMethods: @escaping @Sendable (Int) -> [Method]
    ) {
        self.configuration = configuration
        self.logger = logger
        self.makeMethods = makeMethods
        health[""] = .serving
    }

    // MARK: Running

    /// Listens and serves on threads of its own.
    ///
    /// - Returns: Where the server listens, with the real port where 0 was asked for.
    /// - Throws: Where the address cannot be had, in words that name it.
    public func start() throws(EventLoopError) -> ListenAddress {
        LoopSignal.ignoreBrokenPipes()
        OpenFileLimit.raise()
        let (workers, address) = try makeWorkers()
        state.withLock { $0.workers = workers }
        for worker in workers {
            let thread = try LoopThread { [self] in run(worker) }
            state.withLock { $0.threads.append(thread) }
        }
        logger.info("listening on \(address)", metadata: ["loops": "\(workers.count)"])
        return address
    }

    private func makeWorkers() throws(EventLoopError) -> ([LoopWorker], ListenAddress) {
        let count = max(1, configuration.loopCount)
        var address = configuration.address
        if count > 1, address.port != 0 {
            // Shared sockets would also share with another server; an unshared one tells whether there is any.
            try ListeningSocket(address, isShared: false).close()
        }
        var workers: [LoopWorker] = []
        do throws(EventLoopError) {
            for index in 0..<count {
                let socket = try ListeningSocket(address, isShared: count > 1)
                address = socket.address
                workers.append(
                    try LoopWorker(
                        index: index, socket: socket, configuration: configuration, logger: logger, server: self))
            }
        } catch {
            for worker in workers { worker.abandon() }
            throw error
        }
        return (workers, address)
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

    /// Begins to drain, from any thread: health says NOT_SERVING, no connection is accepted, peers get a GOAWAY, and
    /// calls under way are answered. A second call cuts them off.
    public func shutDown() {
        health.beginDrain()
        logger.info("draining")
        for worker in state.withLock({ $0.workers }) { worker.proxy.post { worker.drain() } }
    }

    private func run(_ worker: LoopWorker) {
        let methods = makeMethods(worker.index)
        health.register(methods.compactMap { serviceName(ofPath: $0.path) })
        let cutOff = worker.run(methods: methods + Health.methods(HealthChecks(registry: health)))
        state.withLock { state in
            state.finalCounters = state.finalCounters + worker.counters
            state.cutOffCalls += cutOff
            state.workers.removeAll { $0 === worker }
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

    // MARK: Health

    /// Sets what grpc.health.v1 says of `service`; "" is the server as a whole. Services start as serving.
    public func setHealth(_ service: String, _ status: HealthStatus) { health[service] = status }

    // MARK: Counters

    /// The sum over all loops, those that have ended included. Not from a loop's own thread: it waits for them.
    public func counters() -> Counters {
        let done = DispatchSemaphore(value: 0)
        let sum = CounterSum()
        gatherCounters(into: sum) { done.signal() }
        done.wait()
        return sum.value
    }

    /// Logs the counters of all loops, from any thread.
    public func logCounters() {
        let sum = CounterSum()
        gatherCounters(into: sum) { [logger] in logger.info("counters: \(sum.value)") }
    }

    private func gatherCounters(into sum: CounterSum, completion: @escaping @Sendable () -> Void) {
        let (workers, ended) = state.withLock { ($0.workers, $0.finalCounters) }
        sum.add(ended)
        let barrier = Countdown(workers.count + 1, completion)
        for worker in workers {
            let isPosted = worker.proxy.post {
                sum.add(worker.counters)
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

private final class CounterSum: Sendable {
    private let sum = Locked(Counters())
    var value: Counters { sum.withLock { $0 } }
    func add(_ counters: Counters) { sum.withLock { $0 = $0 + counters } }
}

/// `fletch.v1.RelatedProducts` of `/fletch.v1.RelatedProducts/Related`.
private func serviceName(ofPath path: String) -> String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 3 ? String(parts[1]) : nil
}
