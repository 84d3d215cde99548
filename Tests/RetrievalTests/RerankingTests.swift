import Foundation
import LinearAlgebra
import Tables
import TestSupport
import Testing

@testable import Retrieval

/// Boosts that are given for each row.
private struct GivenBoosts: NeighbourRanker {
    let all: [[UInt32: Float]]

    var name: String { "hybrid" }
    var parameters: [String: String] { ["rows": "\(all.count)"] }
    func makeBoosts() -> Row { Row(all) }

    final class Row: RowBoosts {
        private let all: [[UInt32: Float]]
        private let rowStorage: UnsafeMutablePointer<UInt32>
        private let boostStorage: UnsafeMutablePointer<Float>
        private var current: [UInt32: Float] = [:]

        init(_ all: [[UInt32: Float]]) {
            self.all = all
            rowStorage = .allocate(capacity: all.count)
            boostStorage = .allocate(capacity: all.count)
        }

        deinit {
            rowStorage.deallocate()
            boostStorage.deallocate()
        }

        var rows: UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(start: rowStorage, count: current.count) }
        var boosts: UnsafeBufferPointer<Float> { UnsafeBufferPointer(start: boostStorage, count: current.count) }

        func compute(for row: Int) {
            current = all[row]
            for (place, (row, boost)) in current.enumerated() {
                rowStorage[place] = row
                boostStorage[place] = boost
            }
        }

        func boost(of row: UInt32) -> Float { current[row] ?? 0 }
    }
}

@Suite struct RerankingTests {
    private let directory = TemporaryDirectory()

    /// Whole coordinates and boosts make many scores equal.
    private func random(
        _ count: Int, boosted: Int, isWhole: Bool
    ) throws -> (embeddings: RelatedEmbeddings, ranker: GivenBoosts) {
        var generator = SeededGenerator(seed: 7)
        func number() -> Float { isWhole ? Float(generator.uniform(below: 3)) : generator.normal() }
        let dimension = 5
        let (source, target) = (
            (0..<count * dimension).map { _ in number() }, (0..<count * dimension).map { _ in number() }
        )
        let boosts = (0..<count).map { _ in
            (0..<boosted).reduce(into: [UInt32: Float]()) { row, _ in
                row[UInt32(generator.uniform(below: count))] = abs(2 * number())
            }
        }
        let embeddings = try RelatedEmbeddings(
            ids: (0..<count).map { "p\($0)" }, dimension: dimension, source: source, target: target,
            metadata: ["ranker": "other", "ranker.x": "1", "seed": "7", "metric.mrr": "0.5"],
            extras: [
                CarriedTensor("encoder.x", shape: [1, 2], [Float(1), 2]),
                CarriedTensor("graph.x", shape: [1], [UInt8(1)]),
            ])
        return (embeddings, GivenBoosts(all: boosts))
    }

    private func publish(
        _ embeddings: RelatedEmbeddings, _ ranker: GivenBoosts?, listLength: Int, name: String = "related"
    ) throws -> Table {
        var builder = try RelatedTableBuilder(embeddings, listLength: listLength)
        builder.ranker = ranker
        let store = Store(path: directory.path + "/store")
        _ = try builder.publish(to: store, name: name, buildID: "test")
        return try store.open(name)
    }

    @Test(arguments: [(1, 1), (20, 19), (300, 7), (300, 40), (300, 299), (700, 30)], [true, false])
    func listsAreThoseOfBruteForce(_ size: (count: Int, listLength: Int), isWhole: Bool) throws {
        for boosted in [0, 3, size.count / 2, 3 * size.count] {
            let (embeddings, ranker) = try random(size.count, boosted: boosted, isWhole: isWhole)
            let table = try publish(embeddings, ranker, listLength: size.listLength, name: "boosted-\(boosted)")
            let related = try RelatedTable(table)
            let length = min(size.listLength, size.count - 1)
            let rows = try table.tensor(named: "lists.rows").copy(as: UInt32.self, shape: [size.count, length])
            let scores = try table.tensor(named: "lists.scores").copy(as: Float.self, shape: [size.count, length])
            var isInner = true
            for row in stride(from: 0, to: size.count, by: 1 + size.count / 40) {
                let truth = (0..<size.count).filter { $0 != row }.map { other in
                    let products = (0..<5).map {
                        Double(embeddings.source[row * 5 + $0]) * Double(embeddings.target[other * 5 + $0])
                    }
                    // The order of summation that the library promises.
                    let inner = ((products[0] + products[1]) + (products[2] + products[3])) + (products[4] + 0)
                    let boost = ranker.all[row][UInt32(other)] ?? 0
                    isInner = isInner && Float(inner) == related.score(from: UInt32(row), to: UInt32(other))
                    return ScoredRow(row: UInt32(other), score: Float(inner + Double(boost)))
                }.sorted { $0.precedes($1) }.prefix(length)
                let range = row * length..<(row + 1) * length
                #expect(Array(rows[range]) == truth.map(\.row))
                #expect(Array(scores[range]) == truth.map(\.score))
            }
            #expect(isInner)
        }
    }

    @Test func theManifestNamesTheRanker() throws {
        let (embeddings, ranker) = try random(30, boosted: 3, isWhole: false)
        let boosted = try publish(embeddings, ranker, listLength: 5)
        #expect(boosted.attribute("ranker") == "hybrid" && boosted.attribute("ranker.rows") == "30")
        #expect(boosted.attribute("seed") == "7" && boosted.attribute("metric.mrr") == nil)
        // What another ranker was told does not stay.
        let plain = try publish(embeddings, nil, listLength: 5)
        #expect(plain.attribute("ranker") == "innerProduct")
        for table in [boosted, plain] { #expect(table.attribute("ranker.x") == nil) }
    }

    @Test func theEncoderIsCarriedAndTheGraphIsNot() throws {
        let table = try publish(random(30, boosted: 3, isWhole: false).embeddings, nil, listLength: 5)
        #expect(try table.tensor(named: "encoder.x").copy(as: Float.self, shape: [1, 2]) == [1, 2])
        #expect(throws: TableError.self) { try table.tensor(named: "graph.x") }
    }

    @Test func listsAreTheSameOnOneThread() throws {
        let (embeddings, ranker) = try random(500, boosted: 40, isWhole: false)
        func lists(_ table: Table) throws -> ([UInt32], [Float]) {
            (
                try table.tensor(named: "lists.rows").copy(as: UInt32.self, shape: [nil, nil]),
                try table.tensor(named: "lists.scores").copy(as: Float.self, shape: [nil, nil])
            )
        }
        let many = try lists(publish(embeddings, ranker, listLength: 20))
        Parallelism.threads = 1
        defer { Parallelism.threads = 0 }
        #expect(try lists(publish(embeddings, ranker, listLength: 20)) == many)
    }
}
