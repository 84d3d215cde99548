internal import Dispatch
public import Logging
public import FletchRPC
internal import Retrieval
public import FletchServer
internal import FletchServiceSchema
internal import Synchronization
public import Tables

/// Keeps a server's related-products handlers on the version of a table that its store names.
///
/// Loading and checking happen on a queue of its own; each loop is handed the new version between two calls and the old
/// one is unmapped after the last loop let go of it. A version that cannot be served is refused, logged, and changes
/// nothing.
public final class RelatedProductsServing: Sendable {
    /// How often the store is asked for its current version; one small file is read.
    private static let pollInterval = DispatchTimeInterval.milliseconds(500)
    /// After how long a refused version is tried again: what was wrong may have been the machine (no memory, no file
    /// descriptor), and reading all of a table twice a second would be too much.
    private static let retryInterval = Duration.seconds(60)

    private let store: Store
    private let name: String
    private let logger: Logger
    private let queue = DispatchQueue(label: "related-products-serving")
    private let slots: [LoopSlot]
    private let audits: [RecallAudit]
    private let state: Mutex<State>

    private struct State {
        var table: RelatedTable?
        var refusal: Refusal?
        var sources: KeptSources?
    }

    /// A version that was refused, nil where the store could not even name one, and when.
    private struct Refusal {
        let version: Int?
        let time = ContinuousClock.now
    }

    /// Opens the version that the store names; none at all is fine, calls are then answered with UNAVAILABLE. A version
    /// that was checked before and not touched since serves at once; ``follow(with:)`` checks it again beside the calls.
    ///
    /// - Parameter recallAudit: The share, 0 to 1, of approximate answers that are given again exactly to measure what
    ///   they miss.
    /// - Throws: Where the store cannot be read or its current version must not be served.
    public init(
        store: Store, name: String, loopCount: Int, recallAudit: Double = 0, logger: Logger
    ) throws(TableError) {
        self.store = store
        self.name = name
        self.logger = logger
        slots = (0..<loopCount).map { _ in LoopSlot() }
        let watch = RecallWatch(logger: logger)
        audits = recallAudit > 0 ? (0..<loopCount).map { RecallAudit(share: recallAudit, loop: $0, watch: watch) } : []
        var table: RelatedTable?
        if let version = try store.currentVersion(of: name) {
            table = try RelatedTable(store.open(name, version: version, trusting: true))
        }
        state = Mutex(State(table: table))
        log(table)
    }

    /// The paths of the methods.
    public static let paths = [
        RelatedProducts.Path.related, RelatedProducts.Path.relatedBatch, RelatedProducts.Path.scoreEdges,
    ]

    /// The methods of one loop. On that loop's thread.
    public func methods(loop index: Int, longScan: Int = RelatedProductsHandler.longScan) -> [Method] {
        let handler = RelatedProductsHandler(
            table: state.withLock { $0.table }, longScan: longScan, audit: audits.isEmpty ? nil : audits[index])
        slots[index].handler = handler
        return RelatedProducts.methods(handler)
    }

    /// What adds the recall that audits measured to a loop's counters; none where nothing is audited.
    public func metrics(loop index: Int) -> [Interceptor] {
        audits.isEmpty ? [] : [RecallMetrics(audits[index])]
    }

    /// Follows the store from now on, and tries again at SIGHUP what was refused. Best before the server starts: its
    /// health is then right from the first call on.
    public func follow(with server: Server) {
        updateHealth(server)
        let hangup = Hangup.makeSource(queue: queue)
        hangup.setEventHandler { [weak self, weak server] in
            guard let self, let server else { return }
            state.withLock { $0.refusal = nil }
            update(server)
        }
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + Self.pollInterval, repeating: Self.pollInterval)
        timer.setEventHandler { [weak self, weak server] in
            guard let self, let server else { return }
            update(server)
        }
        if let table = state.withLock({ $0.table }), !table.table.isChecked {
            queue.async { [weak self, weak server] in
                guard let self, let server else { return }
                checkAgain(table.table, server)
            }
        }
        hangup.resume()
        timer.resume()
        let kept = KeptSources(sources: [hangup, timer])
        state.withLock { $0.sources = kept }
    }

    /// Takes up the version that the store names, where it is another than the one served. On the queue.
    private func update(_ server: Server) {
        let (served, refusal) = state.withLock { ($0.table, $0.refusal) }
        let isDue = refusal.map { .now - $0.time >= Self.retryInterval } ?? true
        var wanted: Int?
        do throws(TableError) {
            wanted = try store.currentVersion(of: name)
            guard let wanted, String(wanted) != served?.table.version else {
                state.withLock { $0.refusal = nil }
                return
            }
            guard isDue || refusal?.version != wanted else { return }
            let table = try RelatedTable(store.open(name, version: wanted))
            hand(table, to: server, instead: served)
        } catch {
            guard isDue || refusal?.version != wanted else { return }
            state.withLock { [wanted] in $0.refusal = Refusal(version: wanted) }
            let kept = served.map { "keeps version \($0.table.version)" } ?? "serves none"
            logger.error("refused a version of table '\(name)' and \(kept): \(error)")
        }
    }

    /// Checks all of a version that serves on the word of an earlier check. One that fails is taken away: a disk may have
    /// lost what was written to it, which no time of change tells. On the queue.
    private func checkAgain(_ table: Table, _ server: Server) {
        do throws(TableError) {
            try table.checkHashes()
        } catch {
            guard state.withLock({ $0.table?.table === table }) else { return }
            state.withLock { $0.refusal = Refusal(version: Int(table.version)) }
            logger.error("took a version of table '\(name)' away and serves none: \(error)")
            hand(nil, to: server, instead: state.withLock { $0.table })
        }
    }

    private func hand(_ table: RelatedTable?, to server: Server, instead old: RelatedTable?) {
        state.withLock {
            $0.table = table
            if table != nil { $0.refusal = nil }
        }
        let retired = Mutex(old)
        server.onEachLoop { [slots] index in
            slots[index].handler?.serve(table)
        } completion: { [queue] in
            // Unmapping takes a while: on the queue, not on a loop, whichever of them ends this closure last.
            queue.async { retired.withLock { $0 = nil } }
        }
        if table != nil { log(table) }
        updateHealth(server)
    }

    private func updateHealth(_ server: Server) {
        let status = state.withLock { $0.table } == nil ? HealthStatus.notServing : .serving
        server.health.set(RelatedProducts.name, status)
        server.health.set("table:\(name)", status)
    }

    private func log(_ table: RelatedTable?) {
        guard let table else {
            logger.warning("no version of table '\(name)' is published yet; calls are answered with UNAVAILABLE")
            return
        }
        logger.info(
            "serving table '\(name)'",
            metadata: [
                "version": "\(table.table.version)", "products": "\(table.count)", "dimension": "\(table.dimension)",
                "list_length": "\(table.listLength)",
            ])
        if let difference = table.table.manifest.schemaDifference {
            logger.info(
                """
                table '\(name)', version \(table.table.version), was \(difference); their format is the same, \
                so it is served like any other
                """)
        }
    }
}

/// Event sources that live as long as this does; nobody touches them again.
private struct KeptSources: @unchecked Sendable {
    let sources: [any DispatchSourceProtocol]
}

/// The handler of one loop, touched on that loop's thread alone.
private final class LoopSlot: @unchecked Sendable {
    var handler: RelatedProductsHandler?
}
