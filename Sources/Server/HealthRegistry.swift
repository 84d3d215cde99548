internal import EventLoop

/// What grpc.health.v1 says of a service.
public enum HealthStatus: Sendable, Hashable {
    case serving
    case notServing
}

/// The health of the server ("") and of each of its services, set by any thread.
final class HealthRegistry: Sendable {
    private struct State {
        var services: [String: HealthStatus] = [:]
        var isDraining = false
    }

    private let state = Locked(State())

    subscript(service: String) -> HealthStatus? {
        get {
            state.withLock { $0.services[service].map { [draining = $0.isDraining] in draining ? .notServing : $0 } }
        }
        set { state.withLock { $0.services[service] = newValue } }
    }

    /// Adds services that are not known yet, serving.
    func register(_ services: [String]) {
        state.withLock { state in
            for service in services where state.services[service] == nil { state.services[service] = .serving }
        }
    }

    /// From here on nothing is serving, whatever is set.
    func beginDrain() { state.withLock { $0.isDraining = true } }
}
