public import FletchRPC

/// Counts and measures the calls of each method of a loop: ``RPC/CallMetrics``, handed out with the loop's counters.
public final class MetricsCollector: Interceptor {
    /// Where calls are counted that name no method of the server: as a caller wrote them they could be any number.
    public static let otherMethods = "other"

    /// By the methods' places; empty paths where no call was seen.
    private var methods: [(path: String, metrics: CallMetrics)] = []
    private var others = CallMetrics()

    public override func callStarted(_ call: InterceptedCall) throws(RPCError) {
        guard let index = call.methodIndex else {
            others.started &+= 1
            return
        }
        while index >= methods.count { methods.append(("", CallMetrics())) }
        if methods[index].path.isEmpty { methods[index].path = call.path }
        methods[index].metrics.started &+= 1
    }

    public override func callEnded(_ call: InterceptedCall, _ outcome: CallOutcome) {
        if let index = call.methodIndex {
            methods[index].metrics.add(outcome)
        } else {
            others.add(outcome)
        }
    }

    public override func contribute(to counters: inout Counters) {
        for (path, metrics) in methods where metrics.started > 0 { counters.add(metrics, ofMethod: path) }
        if others.started > 0 { counters.add(others, ofMethod: Self.otherMethods) }
    }
}

extension CallMetrics {
    fileprivate mutating func add(_ outcome: CallOutcome) {
        endedByStatus[Int(outcome.code.rawValue)] &+= 1
        duration.record(outcome.duration)
        sentBytes.record(UInt64(outcome.traffic.responseBytes))
        receivedBytes.record(UInt64(outcome.traffic.requestBytes))
    }
}
