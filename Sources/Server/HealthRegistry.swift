internal import FletchEventLoop

/// What grpc.health.v1 says of a service.
public enum HealthStatus: Sendable, Hashable {
    case serving
    case notServing
}

/// The health of the server ("") and of each of its services, set and watched by any thread.
public final class HealthRegistry: Sendable {
    /// What is said of a service from now on: its status at once and after every change; nil while it is unknown.
    /// Who takes them slowly gets the latest alone.
    public typealias Updates = AsyncStream<HealthStatus?>

    private struct Watcher {
        let service: String
        let updates: Updates.Continuation
    }

    private struct State {
        var services: [String: HealthStatus] = [:]
        var isDraining = false
        var watchers: [Int: Watcher] = [:]
        var nextWatcher = 0
        var watchesAreOver = false

        func status(of service: String) -> HealthStatus? {
            services[service].map { isDraining ? .notServing : $0 }
        }

        /// Under the lock, as two changes must be told in their order.
        func tell(where isMeant: (String) -> Bool) {
            for watcher in watchers.values where isMeant(watcher.service) {
                watcher.updates.yield(status(of: watcher.service))
            }
        }
    }

    private let state = Locked(State())

    init() {}

    /// The status of a service; nil where the server has no such service.
    public subscript(service: String) -> HealthStatus? { state.withLock { $0.status(of: service) } }

    /// Sets the status of a service, known before or not; "" is the server as a whole.
    public func set(_ service: String, _ status: HealthStatus) {
        state.withLock { state in
            guard state.services.updateValue(status, forKey: service) != status else { return }
            state.tell { $0 == service }
        }
    }

    /// Everything that has a status, by name.
    public var all: [String: HealthStatus] {
        state.withLock { state in state.isDraining ? state.services.mapValues { _ in .notServing } : state.services }
    }

    /// Adds services that are not known yet, serving.
    func register(_ services: [String]) {
        state.withLock { state in
            for service in services where state.services[service] == nil {
                state.services[service] = .serving
                state.tell { $0 == service }
            }
        }
    }

    /// Follows a service, which need not be known yet. The updates end with the server, or when nobody takes them.
    public func watch(_ service: String) -> Updates {
        let (updates, continuation) = Updates.makeStream(bufferingPolicy: .bufferingNewest(1))
        let watcher: Int? = state.withLock { state in
            continuation.yield(state.status(of: service))
            guard !state.watchesAreOver else { return nil }
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = Watcher(service: service, updates: continuation)
            return state.nextWatcher
        }
        guard let watcher else {
            continuation.finish()
            return updates
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { state in state.watchers[watcher] = nil }
        }
        return updates
    }

    /// Who watches now.
    var watcherCount: Int { state.withLock { $0.watchers.count } }

    /// From here on nothing is serving, whatever is set.
    func beginDrain() {
        state.withLock { state in
            state.isDraining = true
            state.tell { _ in true }
        }
    }

    /// Ends what watches, for good: it would keep a draining server waiting.
    func endWatches() {
        let watchers = state.withLock { state in
            state.watchesAreOver = true
            defer { state.watchers = [:] }
            return state.watchers
        }
        // Not under the lock, which their termination takes.
        for watcher in watchers.values { watcher.updates.finish() }
    }
}
