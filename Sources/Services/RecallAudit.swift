internal import FletchEventLoop
internal import FletchRPC
internal import FletchSchema
internal import FletchWire
internal import Logging
internal import Retrieval
internal import Synchronization
internal import Tables

/// Answers a share of a loop's requests that were answered approximately again, exactly, and measures what was missed.
///
/// Which requests those are is decided by their number and the loop's, so that the same calls are audited the same.
/// Audits run on the process's pool at the lowest priority, one at a time: what comes meanwhile is not audited.
final class RecallAudit: Sendable {
    private let share: Double
    private let loop: Int
    private let watch: RecallWatch
    private let answered = Atomic<UInt64>(0)
    private let state = Locked(State())

    private struct State {
        var isRunning = false
        /// Measured since the server began, by the table's version.
        var recall: [String: ValueMetric] = [:]
    }

    /// Audits a share of the requests, from 0 to 1, that the loop of a number from 0 answers approximately.
    init(share: Double, loop: Int, watch: RecallWatch) {
        self.share = share
        self.loop = loop
        self.watch = watch
    }

    /// What was measured so far, by the name of the metric with its attribute.
    var values: [String: ValueMetric] {
        let recall = state.withLock { $0.recall }
        return Dictionary(
            uniqueKeysWithValues: recall.map { ("fletch.related.recall{table.version=\"\($0.key)\"}", $0.value) })
    }

    /// Hears that a request was answered approximately with `rows`. From any thread.
    func answered(
        _ request: RelatedRequest.View, _ rows: UnsafeBufferPointer<ScoredRow>, from served: ServedTable,
        _ pool: ScratchPool
    ) {
        guard samples(answered.wrappingAdd(1, ordering: .relaxed).oldValue), begins() else { return }
        var request = RelatedRequest(request)
        request.exact = true
        request.explain = false
        let found = Set(rows.map(\.row))
        Task.detached(priority: .background) { [self, request] in
            record(pool.withScratch { Self.exactRows(request, from: served, $0) }, found, served.table)
        }
    }

    /// Whether the request with a number is audited.
    func samples(_ number: UInt64) -> Bool {
        // The finalizer of splitmix64: every bit of the result depends on all of the loop and the number.
        var bits = (UInt64(loop) << 48 ^ number) &+ 0x9E37_79B9_7F4A_7C15
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return Double((bits ^ bits >> 31) >> 11) * 0x1p-53 < share
    }

    /// Whether no other audit is under way; one is from here on.
    private func begins() -> Bool {
        state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
    }

    private static func exactRows(
        _ request: RelatedRequest, from served: ServedTable, _ scratch: RelatedScratch
    ) -> [UInt32] {
        let arena = Arena()
        defer { arena.destroy() }
        let builder = RelatedRequest.Builder(in: arena)
        request.copy(into: builder)
        let path = try? served.answer(builder.view, RelatedResponse.Builder(in: arena), scratch)
        return path == nil ? [] : scratch.results.map(\.row)
    }

    private func record(_ exact: [UInt32], _ found: Set<UInt32>, _ table: RelatedTable) {
        let recall = exact.isEmpty ? 1 : Double(exact.count(where: found.contains)) / Double(exact.count)
        state.withLock { state in
            state.isRunning = false
            state.recall[table.version, default: ValueMetric()].record(recall)
        }
        watch.saw(recall, of: table)
    }
}

/// Warns where the recall that audits of all loops measure falls clearly below what a table states.
final class RecallWatch: Sendable {
    /// Audits that are looked back over: they tell the mean recall to about a hundredth.
    static let window = 200

    private let logger: Logger
    private let state = Locked(State())

    fileprivate struct State {
        var version = ""
        /// The last recalls of that version, and where the next one goes.
        var last: [Double] = []
        var next = 0
        var hasWarned = false
    }

    init(logger: Logger) { self.logger = logger }

    /// Takes a measured recall; warns once for each version.
    func saw(_ recall: Double, of table: RelatedTable) {
        guard let stated = table.statedRecall else { return }
        guard let mean = state.withLock({ $0.add(recall, version: table.version, stated: stated) }) else { return }
        logger.warning(
            """
            the recall of table '\(table.table.name)', version \(table.version), was \(mean) over the last \
            \(Self.window) audits, clearly below the \(stated) that its manifest states: what is asked is not what the \
            table was measured with; publish again with more recall
            """)
    }
}

extension RecallWatch.State {
    /// The mean of the last recalls, where it is for the first time clearly below what is stated: by more than three
    /// standard errors and a hundredth.
    fileprivate mutating func add(_ recall: Double, version: String, stated: Double) -> Double? {
        if version != self.version { self = Self(version: version) }
        if last.count < RecallWatch.window { last.append(recall) } else { last[next] = recall }
        next = (next + 1) % RecallWatch.window
        guard !hasWarned, last.count == RecallWatch.window else { return nil }
        let count = Double(last.count)
        let mean = last.reduce(0, +) / count
        let variance = last.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
        hasWarned = mean + 3 * (variance / count).squareRoot() + 0.01 < stated
        return hasWarned ? mean : nil
    }
}

/// Puts the recall that a loop's audits measured beside its other metrics.
final class RecallMetrics: Interceptor {
    private let audit: RecallAudit

    init(_ audit: RecallAudit) { self.audit = audit }

    override func contribute(to counters: inout Counters) {
        counters.values.merge(audit.values) { $1 }
    }
}
