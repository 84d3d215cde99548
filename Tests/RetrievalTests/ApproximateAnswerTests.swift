import LinearAlgebra
import Tables
import TestSupport
import Testing

@testable import Retrieval

/// A published table with inverted lists that find little, half of whose products are of one category.
private final class Shop {
    static let count = 6000
    static let dimension = 8
    let table: RelatedTable
    private let directory = TemporaryDirectory()

    /// `settings` in the order of their limits.
    init(_ settings: [InvertedLists.Setting]) throws {
        var generator = SeededGenerator(seed: 4)
        let vectors = (0..<Self.count * Self.dimension).map { _ in generator.normal() }
        let embeddings = try RelatedEmbeddings(
            ids: (0..<Self.count).map { "p\($0)" }, dimension: Self.dimension, source: vectors, target: vectors)
        let slots = try embeddings.withIDs { ids in Result { try IDIndex.build(ids) } }.get()
        let categories = try CategoryTensors(
            (0..<Self.count).map { $0 % 2 == 0 ? "shoes" : "category \($0 % 1000)" })
        let (codes, lists) = vectors.withUnsafeBufferPointer { rows in
            let start = rows.baseAddress!
            let norm = VectorLimit.largestNorm(start, count: Self.count, dimension: Self.dimension)!
            let scan = Scan(rows: start, count: Self.count, dimension: Self.dimension, largestNorm: norm)
            return (
                CodedRowsBuilder(start, count: Self.count, dimension: Self.dimension),
                InvertedListsBuilder(scan, queries: start, queryCount: 1000, .init(listCount: 60))
            )
        }
        var built = lists
        built.settings = settings
        let shape = [Self.count, Self.dimension]
        let contents = TableContents(
            kind: RelatedTable.kind,
            tensors: [
                TensorSpec("ids.offsets", .uint64, shape: [Self.count + 1]),
                TensorSpec("ids.bytes", .uint8, shape: [embeddings.idBytes.count]),
                TensorSpec("ids.slots", .uint32, shape: [slots.count]),
                TensorSpec("source", .float32, shape: shape), TensorSpec("target", .float32, shape: shape),
                TensorSpec("lists.rows", .uint32, shape: [Self.count, 1]),
                TensorSpec("lists.scores", .float32, shape: [Self.count, 1]),
            ] + categories.specs + codes.specs("target") + built.specs, buildID: "test")
        let store = Store(path: directory.path + "/store")
        _ = try store.publish("related", contents) { [built] writer throws(TableError) in
            try writer.write(embeddings.idOffsets, to: "ids.offsets")
            try writer.write(embeddings.idBytes, to: "ids.bytes")
            try writer.write(slots, to: "ids.slots")
            try writer.write(vectors, to: "source")
            try writer.write(vectors, to: "target")
            try writer.write([UInt32](repeating: RelatedTable.noRow, count: Self.count), to: "lists.rows")
            try writer.write([Float](repeating: 0, count: Self.count), to: "lists.scores")
            try categories.write(to: writer)
            try codes.write("target", to: writer)
            try built.write(to: writer)
        }
        table = try RelatedTable(store.open("related"))
    }
}

@Suite struct ApproximateAnswerTests {
    private let few = InvertedLists.Setting(limit: 20, probes: 1, depth: 20)
    private let many = InvertedLists.Setting(limit: 200, probes: 60, depth: 2000)

    /// The second of two rounds looks through more lists and finds better rows than the first.
    @Test func aCapKeepsTheOrder() throws {
        let table = try Shop([few, many]).table
        let scratch = RelatedScratch()
        var query = RelatedQuery(limit: 10)
        query.maxPerCategory = 2
        var approximate = 0
        for row in 0..<UInt32(50) {
            scratch.reset()
            if table.find(product: row, query, scratch) == .invertedLists { approximate += 1 }
            let results = scratch.results
            #expect(results.count == 10)
            #expect(zip(results, results.dropFirst()).allSatisfy { $0.precedes($1) })
            #expect(results.count { $0.row % 2 == 0 } <= 2)
        }
        #expect(approximate > 10)
    }

    /// What begins with a cheap search must not end with a scan of the whole table.
    @Test func noRoundReadsMoreThanItMay() throws {
        let table = try Shop([few]).table
        let scratch = RelatedScratch()
        var query = RelatedQuery(limit: 10)
        query.work = Shop.count * Shop.dimension / CodedRows.scanSpeed - 1
        #expect(table.find(product: 1, query, scratch) == .invertedLists)
        var capped = query
        capped.maxPerCategory = 1
        var refused = 0
        for row in 0..<UInt32(50) {
            scratch.reset()
            if table.find(product: row, capped, scratch) == nil { refused += 1 }
        }
        #expect(refused > 10)
        // Nothing of a refused answer is left.
        scratch.reset()
        capped.work = .max
        #expect(table.find(product: 1, capped, scratch) != nil)
        #expect(scratch.results.count == 10)
    }
}
