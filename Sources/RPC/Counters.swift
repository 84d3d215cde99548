/// What one loop has done so far: plain numbers, written by the loop alone.
public struct Counters: Sendable {
    /// Calls whose header fields arrived.
    public var callsStarted: UInt64 = 0
    /// Calls answered, by status code; index with `StatusCode.rawValue`.
    public var callsByStatus = InlineArray<17, UInt64>(repeating: 0)
    /// When the last call began, in nanoseconds of the monotonic clock; 0 before the first.
    public var lastCallStarted: UInt64 = 0
    /// Connections accepted, refused because too many were open, and open now.
    public var connectionsAccepted: UInt64 = 0
    public var connectionsRefused: UInt64 = 0
    public var connectionsOpen: UInt64 = 0
    /// Metrics of calls by the paths of their methods, where an interceptor collects them.
    public var methods: [String: CallMetrics] = [:]

    /// Other values that were measured, by their names, where an interceptor collects them.
    public var values: [String: ValueMetric] = [:]

    public init() {}

    /// Calls answered with OK.
    public var callsOK: UInt64 { callsByStatus[0] }

    /// Calls answered with anything else, or not at all.
    public var callsFailed: UInt64 {
        callsByStatus.indices.dropFirst().reduce(0) { $0 + callsByStatus[$1] }
    }

    /// Adds metrics of a method to those that are here.
    public mutating func add(_ metrics: CallMetrics, ofMethod path: String) {
        methods[path] = methods[path].map { $0 + metrics } ?? metrics
    }

    /// The sum of two loops' numbers.
    public static func + (left: Counters, right: Counters) -> Counters {
        var sum = left
        sum.callsStarted += right.callsStarted
        sum.lastCallStarted = max(left.lastCallStarted, right.lastCallStarted)
        for index in sum.callsByStatus.indices { sum.callsByStatus[index] += right.callsByStatus[index] }
        sum.connectionsAccepted += right.connectionsAccepted
        sum.connectionsRefused += right.connectionsRefused
        sum.connectionsOpen += right.connectionsOpen
        for (path, metrics) in right.methods { sum.add(metrics, ofMethod: path) }
        for (name, metric) in right.values { sum.values[name, default: ValueMetric()].add(metric) }
        return sum
    }
}

/// How often something was measured, and the sum of what it was: what is kept of an OpenTelemetry histogram.
public struct ValueMetric: Sendable, Hashable, CustomStringConvertible {
    public private(set) var count: UInt64 = 0
    public private(set) var sum = 0.0

    public init() {}

    public mutating func record(_ value: Double) {
        count &+= 1
        sum += value
    }

    mutating func add(_ other: ValueMetric) {
        count &+= other.count
        sum += other.sum
    }

    /// `count=2 sum=1.9`
    public var description: String { "count=\(count) sum=\(sum)" }
}

extension Counters: CustomStringConvertible {
    /// One line of `name=number`, statuses only where they occurred.
    public var description: String {
        var parts = ["calls_started=\(callsStarted)", "calls_ok=\(callsOK)"]
        for code in StatusCode.allCases.dropFirst() where callsByStatus[Int(code.rawValue)] > 0 {
            parts.append("calls_\(code.name.lowercased())=\(callsByStatus[Int(code.rawValue)])")
        }
        parts.append("connections_accepted=\(connectionsAccepted)")
        parts.append("connections_refused=\(connectionsRefused)")
        parts.append("connections_open=\(connectionsOpen)")
        return parts.joined(separator: " ")
    }
}
