import FletchEventLoop
import FletchRPC
import FletchSchema
import FletchWire
import LinearAlgebra
import Logging
import Retrieval
import Tables
import TestSupport
import Testing

@testable import Services

/// A table that states a recall, asked by an approximate search that the test plays.
private final class Shop {
    static let count = 50
    let served: ServedTable
    private let directory = TemporaryDirectory()

    init(statedRecall: Double) throws {
        var generator = SeededGenerator(seed: 5)
        func vectors() -> [Float] { (0..<Self.count * 2).map { _ in generator.normal() } }
        let embeddings = try RelatedEmbeddings(
            ids: (0..<Self.count).map { "p\($0)" }, dimension: 2, source: vectors(), target: vectors(),
            metadata: ["metric.invertedLists.recall@10": "\(statedRecall)"])
        let store = Store(path: directory.path)
        _ = try RelatedTableBuilder(embeddings, listLength: 10).publish(to: store, name: "related", buildID: "test")
        served = try ServedTable(RelatedTable(store.open("related")))
    }

    /// Tells an audit of an answer of ten rows of which some are wrong.
    func answer(_ audit: RecallAudit, wrong: Int, pool: ScratchPool) {
        let scratch = RelatedScratch()
        let query = RelatedQuery(limit: 10)
        _ = served.table.find(product: 3, query, scratch)
        var rows = Array(scratch.results)
        for place in 0..<wrong { rows[place].row = 3 }
        let arena = Arena()
        defer { arena.destroy() }
        let builder = RelatedRequest.Builder(in: arena)
        RelatedRequest(productID: "p3").copy(into: builder)
        rows.withUnsafeBufferPointer { audit.answered(builder.view, $0, from: served, pool) }
    }
}

@Suite struct RecallAuditTests {
    private let name = "fletch.related.recall{table.version=\"1\"}"

    /// Answers one after the other, each audited before the next.
    private func audit(_ wrong: [Int], stated: Double = 0.95) async throws -> (ValueMetric?, [String]) {
        let shop = try Shop(statedRecall: stated)
        let log = LogLines()
        let audit = RecallAudit(share: 1, loop: 0, watch: RecallWatch(logger: log.logger))
        let pool = ScratchPool()
        for (number, wrong) in wrong.enumerated() {
            shop.answer(audit, wrong: wrong, pool: pool)
            try await settled { audit.values[name]?.count == UInt64(number + 1) }
        }
        return (audit.values[name], log.lines)
    }

    @Test func whatIsMissedIsMeasured() async throws {
        let (recall, lines) = try await audit([0, 3, 10])
        #expect(recall?.count == 3)
        #expect(abs((recall?.sum ?? 0) - 1.7) < 1e-9)
        #expect(lines.isEmpty)
    }

    @Test func aClearFallIsToldOnce() async throws {
        let (_, lines) = try await audit(Array(repeating: 1, count: RecallWatch.window + 50), stated: 0.95)
        #expect(lines.count == 1)
        #expect(lines.first?.contains("table 'related', version 1") == true)
        #expect(lines.first?.contains("0.95") == true)
    }

    @Test func chanceIsNoFall() async throws {
        // A mean of .94 beside .95, and one of 0 over fewer audits than tell.
        let wrong = (0..<RecallWatch.window + 50).map { $0 % 5 < 3 ? 1 : 0 }
        #expect(try await audit(wrong, stated: 0.95).1.isEmpty)
        #expect(try await audit(Array(repeating: 10, count: RecallWatch.window - 1)).1.isEmpty)
    }

    @Test func theShareIsKeptAndTheSameEachTime() {
        let watch = RecallWatch(logger: LogLines().logger)
        func chosen(_ share: Double, loop: Int) -> [UInt64] {
            let audit = RecallAudit(share: share, loop: loop, watch: watch)
            return (0..<100_000).filter { audit.samples($0) }
        }
        #expect(chosen(0, loop: 0).isEmpty)
        #expect(chosen(1, loop: 0).count == 100_000)
        let some = chosen(0.01, loop: 0)
        #expect((850...1150).contains(some.count))
        #expect(chosen(0.01, loop: 0) == some)
        #expect(Set(chosen(0.01, loop: 1)).intersection(some).count < 100)
    }

    @Test func oneAuditIsUnderWayAtATime() async throws {
        let shop = try Shop(statedRecall: 1)
        let audit = RecallAudit(share: 1, loop: 0, watch: RecallWatch(logger: LogLines().logger))
        let pool = ScratchPool()
        // Nobody can say how many of these begin before one ends; all that begin are counted.
        for _ in 0..<1000 { shop.answer(audit, wrong: 0, pool: pool) }
        try await settled { (audit.values[name]?.count ?? 0) > 0 }
        #expect((audit.values[name]?.count ?? 0) <= 1000)
        #expect(audit.values[name].map { $0.sum == Double($0.count) } == true)
    }

    @Test func aLoopsCountersHaveIt() async throws {
        let shop = try Shop(statedRecall: 1)
        let audit = RecallAudit(share: 1, loop: 0, watch: RecallWatch(logger: LogLines().logger))
        shop.answer(audit, wrong: 5, pool: ScratchPool())
        try await settled { audit.values[name] != nil }
        var counters = Counters()
        RecallMetrics(audit).contribute(to: &counters)
        #expect((counters + counters).values[name]?.description == "count=2 sum=1.0")
    }

    /// Waits until something holds; fails after a minute, as audits give way to all else that the machine does.
    private func settled(_ condition: () -> Bool) async throws {
        for _ in 0..<300_000 where !condition() { try await Task.sleep(for: .microseconds(200)) }
        try #require(condition())
    }
}

/// Collects what is logged.
private final class LogLines: Sendable {
    private let kept = Locked<[String]>([])

    var lines: [String] { kept.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

    private struct Handler: LogHandler {
        let lines: LogLines
        var logLevel = Logger.Level.info
        var metadata = Logger.Metadata()
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            lines.kept.withLock { $0.append("\(event.message)") }
        }
    }
}
