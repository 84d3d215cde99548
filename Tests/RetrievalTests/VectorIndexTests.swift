import CKernels
import FletchSchema
import LinearAlgebra
import Tables
import TestSupport
import Testing

@testable import Retrieval

/// Rows with what is hard about them.
private enum Kind: String, CaseIterable, Sendable {
    case normal, ties, hugeCoordinate, zeroRows, dominated, constantCoordinate, tiny, lengths

    func rows(_ count: Int, _ dimension: Int, _ generator: inout SeededGenerator) -> [Float] {
        var rows: [Float] = []
        for row in 0..<count {
            let length = self == .lengths ? Float(1 << (row % 40)) : 1
            for column in 0..<dimension {
                let value = generator.normal()
                switch self {
                case .normal: rows.append(value)
                case .ties: rows.append(Float(generator.uniform(below: 2)))
                case .hugeCoordinate: rows.append(column == 0 ? value * 1e15 : value)
                case .zeroRows: rows.append(row % 3 == 0 ? 0 : value)
                case .dominated: rows.append(column == dimension - 1 ? 300 + value : value)
                case .constantCoordinate: rows.append(column == dimension / 2 ? 1 : value)
                case .tiny: rows.append(value * 1e-38)
                case .lengths: rows.append(value * length)
                }
            }
        }
        return rows
    }
}

/// Clusters of different sizes, and queries that are distributed otherwise, with a constant coordinate.
private struct Clusters {
    let dimension = 24
    let rows: [Float]
    let queries: [Float]

    init(count: Int, queries queryCount: Int, seed: UInt64 = 3) {
        var generator = SeededGenerator(seed: seed)
        let centres = (0..<60 * dimension).map { _ in generator.normal() }
        var (rows, queries): ([Float], [Float]) = ([], [])
        for _ in 0..<count {
            let cluster = generator.uniform(below: 60)
            for column in 0..<dimension {
                let value = centres[cluster * dimension + column] + 0.5 * generator.normal()
                rows.append(column == dimension - 1 ? 1 : value)
            }
        }
        for _ in 0..<queryCount {
            let cluster = generator.uniform(below: 20)
            for column in 0..<dimension {
                let value = 0.3 * centres[cluster * dimension + column] + 0.3 * generator.normal()
                queries.append(column == dimension - 1 ? 5 : value * Float(1 + column % 3))
            }
        }
        self.rows = rows
        self.queries = queries
    }

    var count: Int { rows.count / dimension }

    func scan(_ rows: UnsafeBufferPointer<Float>) -> Scan {
        let norm = VectorLimit.largestNorm(rows.baseAddress!, count: count, dimension: dimension)!
        return Scan(rows: rows.baseAddress!, count: count, dimension: dimension, largestNorm: norm)
    }

    /// Lends an index with lists that reach a recall of 95 %.
    func withIndex(_ body: (VectorIndex, InvertedListsBuilder, UnsafeBufferPointer<Float>) throws -> Void) throws {
        try rows.withUnsafeBufferPointer { rows in
            try queries.withUnsafeBufferPointer { queries in
                let scan = scan(rows)
                let codes = CodedRowsBuilder(rows.baseAddress!, count: count, dimension: dimension)
                let outcome = InvertedListsBuilder.build(
                    scan, codes: codes, queries: queries, recall: 0.95, least: 1000)
                let lists = try #require(outcome.built)
                try codes.withRows { coded in
                    lists.withLists(coded, scan) { search in
                        Result { try body(VectorIndex(scan: scan, codes: coded, lists: search), lists, queries) }
                    }
                }.get()
            }
        }
    }
}

@Suite struct VectorIndexTests {
    @Test(arguments: Kind.allCases, [1, 3, 65, 4096])
    fileprivate func aScanOfCodesIsExact(kind: Kind, dimension: Int) {
        var generator = SeededGenerator(seed: UInt64(dimension))
        let count = dimension > 1000 ? 30 : 300
        let rows = kind.rows(count, dimension, &generator)
        let queries = kind.rows(4, dimension, &generator) + Kind.normal.rows(3, dimension, &generator)
        let scratch = RelatedScratch()
        rows.withUnsafeBufferPointer { rows in
            let start = rows.baseAddress!
            let norm = VectorLimit.largestNorm(start, count: count, dimension: dimension)!
            let scan = Scan(rows: start, count: count, dimension: dimension, largestNorm: norm)
            CodedRowsBuilder(start, count: count, dimension: dimension).withRows { codes in
                for query in stride(from: 0, to: queries.count, by: dimension) {
                    let vector = Array(queries[query..<query + dimension])
                    for limit in [1, 10, 50] {
                        let expected = best(limit, scratch) { scan.run(vector, into: &$0, filter: $1, scratch) }
                        let found = best(limit, scratch) {
                            codes.run(vector, into: &$0, filter: $1, exact: scan, scratch)
                        }
                        #expect(found == expected)
                    }
                }
            }
        }
    }

    /// What a search leaves in `top`, in order.
    private func best(_ limit: Int, _ scratch: RelatedScratch, _ search: (inout TopRows, RowFilter) -> Void)
        -> [ScoredRow]
    {
        var top = TopRows(scratch.room(for: limit), limit: limit)
        search(&top, RowFilter(excluded: scratch.excluded))
        top.sort()
        return (0..<top.count).map { top[$0] }
    }

    @Test func listsReachTheRecallTheyState() throws {
        let clusters = Clusters(count: 20_000, queries: 3000)
        try clusters.withIndex { index, lists, queries in
            #expect(lists.recall >= 0.95 && lists.recall <= 1)
            let scratch = RelatedScratch()
            var hits = 0
            for query in 0..<500 {
                let vector = queries.baseAddress! + query * clusters.dimension
                let truth = best(10, scratch) { top, filter in
                    #expect(index.search(vector, into: &top, filter: filter, exact: true, scratch) == .quantizedScan)
                }
                let found = best(10, scratch) { top, filter in
                    #expect(index.search(vector, into: &top, filter: filter, exact: false, scratch) == .invertedLists)
                }
                // Whatever lists find has its exact score.
                #expect(found.allSatisfy { $0.score == index.scan.score(vector, $0.row) })
                hits += found.count { truth.contains($0) }
            }
            // Three standard deviations of 5000 answers below.
            #expect(Double(hits) / 5000 > 0.94)
        }
    }

    /// However little is let in, and however long the answer, none of it is missing.
    @Test func neitherFiltersNorLimitsShortenAnAnswer() throws {
        let clusters = Clusters(count: 20_000, queries: 1000)
        try clusters.withIndex { index, lists, queries in
            let scratch = RelatedScratch()
            for (admitted, limit) in [(2, 10), (20, 10), (1000, 10), (1, 10), (1, 500), (1, 30_000), (4000, 10)] {
                scratch.reset()
                for row in 0..<UInt32(clusters.count) where Int(row) % admitted != 0 { scratch.exclude(row) }
                let rows = (clusters.count + admitted - 1) / admitted
                for query in 0..<5 {
                    let vector = queries.baseAddress! + query * clusters.dimension
                    let expected = best(limit, scratch) {
                        index.scan.run(vector, into: &$0, filter: $1, scratch)
                    }
                    let found = best(limit, scratch) {
                        _ = index.search(vector, into: &$0, filter: $1, exact: false, scratch)
                    }
                    #expect(found.count == min(limit, rows))
                    #expect(found.allSatisfy { Int($0.row) % admitted == 0 })
                    #expect(admitted == 1 && limit <= 100 || found == expected)
                }
            }
            let longest = try #require(lists.settings.last)
            #expect(longest.limit == 100)
        }
    }

    @Test func theSameSeedGivesTheSameBytes() throws {
        let clusters = Clusters(count: 9000, queries: 500)
        func built(threads: Int) throws -> InvertedListsBuilder {
            Parallelism.threads = threads
            defer { Parallelism.threads = 0 }
            var result: InvertedListsBuilder?
            try clusters.withIndex { _, lists, _ in result = lists }
            return try #require(result)
        }
        let (one, two) = (try built(threads: 1), try built(threads: 2))
        #expect(one.codes == two.codes && one.rows == two.rows && one.offsets == two.offsets)
        #expect(one.centroids.codes == two.centroids.codes && one.quantizer.codebooks == two.quantizer.codebooks)
        #expect(one.settings == two.settings && one.recall == two.recall)
    }

    @Test func listsThatWouldBeSlowerAreNotBuilt() {
        var generator = SeededGenerator(seed: 5)
        let (count, dimension) = (1500, 16)
        let rows = Kind.normal.rows(count, dimension, &generator)
        rows.withUnsafeBufferPointer { rows in
            let norm = VectorLimit.largestNorm(rows.baseAddress!, count: count, dimension: dimension)!
            let scan = Scan(rows: rows.baseAddress!, count: count, dimension: dimension, largestNorm: norm)
            let codes = CodedRowsBuilder(rows.baseAddress!, count: count, dimension: dimension)
            func build(least: Int) -> InvertedListsBuilder.Outcome {
                InvertedListsBuilder.build(scan, codes: codes, queries: rows, recall: 0.999, least: least)
            }
            #expect(build(least: 1000).built == nil)
            #expect(build(least: 2000).built == nil)
        }
    }

    @Test func theBestCandidatesAreKept() {
        var generator = SeededGenerator(seed: 8)
        let keys = UnsafeMutablePointer<UInt64>.allocate(capacity: 40)
        defer { keys.deallocate() }
        for count in [0, 5, 10, 11, 40, 41, 1000] {
            let scores = (0..<count).map { _ in generator.uniform(below: 200) }
            var candidates = Candidates(keys, depth: 10, slack: 4)
            for (row, score) in scores.enumerated() { candidates.add(UInt32(row), score: score) }
            let kept = candidates.finish().map { Int($0 >> 32) }.sorted(by: >)
            #expect(kept == Array(scores.sorted(by: >).prefix(10)))
        }
    }
}

/// Tables whose tensors for searches were tampered with, under manifests that tell the truth about them.
@Suite struct VectorIndexCheckTests {
    private let clusters = Clusters(count: 2000, queries: 200)

    private func tensors() throws -> [(spec: TensorSpec, bytes: [UInt8])] {
        let directory = TemporaryDirectory()
        let store = Store(path: directory.path)
        try clusters.rows.withUnsafeBufferPointer { rows in
            let codes = CodedRowsBuilder(rows.baseAddress!, count: clusters.count, dimension: clusters.dimension)
            var lists = InvertedListsBuilder(
                clusters.scan(rows), queries: rows.baseAddress!, queryCount: 200, .init(listCount: 20))
            lists.settings = [.init(limit: 10, probes: 3, depth: 30)]
            let contents = TableContents(kind: "index", tensors: codes.specs("target") + lists.specs, buildID: "test")
            let built = lists
            _ = try store.publish("t", contents) { writer throws(TableError) in
                try codes.write("target", to: writer)
                try built.write(to: writer)
            }
        }
        let table = try store.open("t")
        return try table.manifest.tensors.map {
            let view = try table.tensor(named: $0.name)
            return (TensorSpec($0.name, view.dataType, shape: view.shape), Array(view.bytes))
        }
    }

    /// The error of opening an index one of whose tensors was changed.
    private func refusal(
        _ tensors: [(spec: TensorSpec, bytes: [UInt8])], _ name: String, _ spoil: (inout [UInt8]) -> Void
    ) throws -> String {
        let directory = TemporaryDirectory()
        let store = Store(path: directory.path)
        let contents = TableContents(kind: "index", tensors: tensors.map(\.spec), buildID: "test")
        _ = try store.publish("t", contents) { writer throws(TableError) in
            for (spec, bytes) in tensors {
                var bytes = bytes
                if spec.name == name { spoil(&bytes) }
                switch spec.dataType {
                case .float32: try writer.write(elements(bytes, Float.self), to: spec.name)
                case .uint32: try writer.write(elements(bytes, UInt32.self), to: spec.name)
                case .int8: try writer.write(elements(bytes, Int8.self), to: spec.name)
                default: try writer.write(bytes, to: spec.name)
                }
            }
        }
        return try clusters.rows.withUnsafeBufferPointer { rows in
            let table = try store.open("t")
            do {
                _ = try VectorIndex(table, matrix: "target", scan: clusters.scan(rows))
                return "accepted"
            } catch {
                return "\(error)"
            }
        }
    }

    private func elements<Element: TensorElement>(_ bytes: [UInt8], _ type: Element.Type) -> [Element] {
        bytes.withUnsafeBytes { Array($0.bindMemory(to: Element.self)) }
    }

    @Test func whatASearchTrustsIsChecked() throws {
        let good = try tensors()
        func put<Value: BitwiseCopyable>(_ value: Value, at place: Int = 0) -> (inout [UInt8]) -> Void {
            { bytes in
                bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: 4 * place, as: Value.self) }
            }
        }
        #expect(try refusal(good, "", { _ in }) == "accepted")
        let spoiled: [(String, (inout [UInt8]) -> Void)] = [
            ("target.scales", put(Float(0), at: 7)), ("target.scales", put(Float.nan, at: 7)),
            ("target.coordinates", put(Float(-1))), ("target.coordinates", put(Float(1.5))),
            ("target.error", put(Float(-1))), ("target.error", put(Float.infinity)),
            ("invertedLists.coordinates", put(Float.nan)), ("invertedLists.coordinates", put(Float(1e9))),
            ("invertedLists.scales", put(Float.infinity, at: 3)),
            ("invertedLists.codebooks", put(Float.nan, at: 5)), ("invertedLists.codebooks", put(Float(1e30), at: 5)),
            ("invertedLists.offsets", put(UInt32(1))), ("invertedLists.offsets", put(UInt32.max, at: 4)),
            ("invertedLists.offsets", put(UInt32(0), at: 20)),
            ("invertedLists.rows", put(UInt32(2000))), ("invertedLists.rows", put(RelatedTable.noRow)),
            ("invertedLists.rows", { bytes in bytes.replaceSubrange(0..<4, with: bytes[4..<8]) }),
            ("invertedLists.settings", put(UInt32(0))), ("invertedLists.settings", put(UInt32(0), at: 1)),
            ("invertedLists.settings", put(UInt32(21), at: 1)), ("invertedLists.settings", put(UInt32(9), at: 2)),
            ("invertedLists.settings", put(UInt32(1 << 20), at: 2)),
        ]
        for (name, spoil) in spoiled {
            #expect(try refusal(good, name, spoil).contains("tensor '\(name)'"))
        }
        for missing in good.map(\.spec.name) where missing != InvertedLists.marker && missing != "target.codes" {
            let error = try refusal(good.filter { $0.spec.name != missing }, "", { _ in })
            #expect(error.contains("has no tensor '\(missing)'"))
        }
    }
}
