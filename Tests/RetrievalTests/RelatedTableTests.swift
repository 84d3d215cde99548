import Glibc
import LinearAlgebra
import FletchSchema
import Tables
import TestSupport
import Testing

@testable import Retrieval

/// A published table of random vectors and the truth about it, computed the slow way.
struct Fixture {
    let directory = TemporaryDirectory()
    let ids: [String]
    let dimension: Int
    let source: [Float]
    let target: [Float]
    let table: RelatedTable

    /// `levels` makes coordinates whole numbers of that range, so that many scores are equal.
    init(count: Int, dimension: Int, listLength: Int, levels: Int? = nil, seed: UInt64 = 1) throws {
        var generator = SeededGenerator(seed: seed)
        func vectors() -> [Float] {
            (0..<count * dimension).map { _ in
                levels.map { Float(generator.uniform(below: $0)) } ?? generator.normal()
            }
        }
        ids = (0..<count).map { "product-\($0 * 7919)" }
        self.dimension = dimension
        source = vectors()
        target = vectors()
        let embeddings = try RelatedEmbeddings(ids: ids, dimension: dimension, source: source, target: target)
        let store = Store(path: directory.path + "/store")
        let builder = try RelatedTableBuilder(embeddings, listLength: listLength)
        _ = try builder.publish(to: store, name: "related", buildID: "test")
        table = try RelatedTable(store.open("related"))
    }

    func score(_ query: [Float], _ row: Int) -> Float {
        let products = (0..<dimension).map { Double(query[$0]) * Double(target[row * dimension + $0]) }
        // The order of summation that the library promises.
        var lanes = [Double](repeating: 0, count: 8)
        for (index, product) in products.enumerated() { lanes[index % 8] += product }
        return Float(((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])))
    }

    /// The best rows by sorting all of them.
    func best(_ query: [Float], limit: Int, without excluded: Set<Int>) -> [ScoredRow] {
        let all = (0..<ids.count).filter { !excluded.contains($0) }
            .map { ScoredRow(row: UInt32($0), score: score(query, $0)) }
        return Array(all.sorted { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }.prefix(limit))
    }

    func sourceVector(_ row: Int) -> [Float] { Array(source[row * dimension..<(row + 1) * dimension]) }
}

@Suite struct RelatedTableTests {
    @Test(arguments: [(1, 3, 10), (2, 1, 10), (40, 5, 100), (300, 64, 20), (2100, 3, 40)])
    func listsAreExact(count: Int, dimension: Int, listLength: Int) throws {
        let fixture = try Fixture(count: count, dimension: dimension, listLength: listLength)
        #expect(fixture.table.listLength == min(listLength, count - 1))
        let scratch = RelatedScratch()
        for row in stride(from: 0, to: count, by: 1 + count / 40) {
            scratch.reset()
            let path = fixture.table.related(to: UInt32(row), limit: listLength, scratch)
            #expect(path == .list)
            let truth = fixture.best(fixture.sourceVector(row), limit: listLength, without: [row])
            #expect(Array(scratch.results) == truth)
        }
    }

    @Test func tiesAreInTheOrderOfTheTable() throws {
        let fixture = try Fixture(count: 600, dimension: 3, listLength: 50, levels: 2)
        let scratch = RelatedScratch()
        for row in stride(from: 0, to: 600, by: 37) {
            let query = fixture.sourceVector(row)
            scratch.reset()
            _ = fixture.table.related(to: UInt32(row), limit: 50, scratch)
            #expect(Array(scratch.results) == fixture.best(query, limit: 50, without: [row]))
            scratch.reset()
            let path = try query.withUnsafeBufferPointer {
                try fixture.table.related(toVector: $0, limit: 333, scratch)
            }
            #expect(path == .quantizedScan)
            #expect(Array(scratch.results) == fixture.best(query, limit: 333, without: []))
        }
    }

    @Test func aScanTakesOverWhereTheListEnds() throws {
        let fixture = try Fixture(count: 500, dimension: 9, listLength: 12)
        let scratch = RelatedScratch()
        let query = fixture.sourceVector(3)
        for (limit, excluded, expected) in [
            (12, 0, RelatedTable.Path.list), (13, 0, .quantizedScan), (9, 3, .list), (10, 3, .quantizedScan),
        ] {
            scratch.reset()
            let best = fixture.best(query, limit: excluded, without: [3]).map(\.row)
            best.forEach(scratch.exclude)
            #expect(fixture.table.related(to: 3, limit: limit, scratch) == expected)
            #expect(
                Array(scratch.results) == fixture.best(query, limit: limit, without: Set(best.map { Int($0) } + [3])))
        }
    }

    @Test func limitsBeyondTheTableGiveAllOfIt() throws {
        let fixture = try Fixture(count: 30, dimension: 4, listLength: 5)
        let scratch = RelatedScratch()
        #expect(fixture.table.related(to: 2, limit: 1000, scratch) == .quantizedScan)
        #expect(scratch.results.count == 29)
        scratch.reset()
        for row in 0..<30 where row != 7 { scratch.exclude(UInt32(row)) }
        _ = fixture.table.related(to: 2, limit: 10, scratch)
        #expect(scratch.results.map(\.row) == [7])
        scratch.reset()
        for row in 0..<30 { scratch.exclude(UInt32(row)) }
        _ = fixture.table.related(to: 2, limit: 10, scratch)
        #expect(scratch.results.isEmpty)
        scratch.reset()
        _ = fixture.table.related(to: 2, limit: 0, scratch)
        #expect(scratch.results.isEmpty)
    }

    @Test func aCartIsRankedByItsMean() throws {
        let fixture = try Fixture(count: 400, dimension: 6, listLength: 20)
        let scratch = RelatedScratch()
        let cart = [5, 399, 17]
        cart.forEach { scratch.addToCart(UInt32($0)) }
        scratch.addToCart(5)
        scratch.exclude(17)
        scratch.exclude(44)
        #expect(fixture.table.relatedToCart(limit: 15, scratch) == .quantizedScan)
        let mean = (0..<6).map { coordinate in
            Float(cart.reduce(0.0) { $0 + Double(fixture.source[$1 * 6 + coordinate]) } / 3)
        }
        #expect(Array(scratch.results) == fixture.best(mean, limit: 15, without: [5, 399, 17, 44]))
        scratch.reset()
        scratch.addToCart(8)
        scratch.addToCart(8)
        #expect(fixture.table.relatedToCart(limit: 15, scratch) == .list)
        #expect(Array(scratch.results) == fixture.best(fixture.sourceVector(8), limit: 15, without: [8]))
    }

    @Test func vectorsThatCannotBeAskedWithAreNamed() throws {
        let fixture = try Fixture(count: 10, dimension: 4, listLength: 5)
        func ask(_ vector: [Float]) throws(VectorError) {
            let result = vector.withUnsafeBufferPointer { vector in
                Result { () throws(VectorError) in
                    try fixture.table.related(toVector: vector, limit: 3, RelatedScratch())
                }
            }
            _ = try result.get()
        }
        #expect(throws: VectorError.wrongDimension(expected: 4)) { try ask([1, 2, 3]) }
        #expect(throws: VectorError.wrongDimension(expected: 4)) { try ask([]) }
        #expect(throws: VectorError.notFinite) { try ask([1, 2, .nan, 4]) }
        #expect(throws: VectorError.notFinite) { try ask([1, 2, 3, -.infinity]) }
        #expect(throws: VectorError.tooLong) { try ask([1e18, 1e18, 0, 0]) }
        #expect(throws: Never.self) { try ask([1e17, 0, 0, -0.0]) }
    }

    /// A fast score may be far off where large terms cancel; the answer must not be.
    @Test func cancellationDoesNotCostAnAnswer() throws {
        let directory = TemporaryDirectory()
        let count = 2000
        var generator = SeededGenerator(seed: 3)
        // Products of 1e6 cancel and leave what single precision cannot see.
        let target = (0..<count).flatMap { _ -> [Float] in
            let large = 1e3 * (1 + generator.uniform())
            return [large, -large, generator.uniform() * 1e-2]
        }
        let source = (0..<count).flatMap { _ -> [Float] in [1e3, 1e3, 1] }
        let store = Store(path: directory.path)
        let embeddings = try RelatedEmbeddings(
            ids: (0..<count).map { "p\($0)" }, dimension: 3, source: source, target: target)
        _ = try RelatedTableBuilder(embeddings, listLength: 30).publish(to: store, name: "r", buildID: "test")
        let table = try RelatedTable(store.open("r"))
        let truth = (0..<count).map { ScoredRow(row: UInt32($0), score: target[$0 * 3 + 2]) }
            .sorted { $0.precedes($1) }
        let scratch = RelatedScratch()
        _ = table.related(to: 0, limit: 30, scratch)
        #expect(scratch.results.map(\.row) == Array(truth.map(\.row).filter { $0 != 0 }.prefix(30)))
        scratch.reset()
        _ = try [1e3, 1e3, 1].withUnsafeBufferPointer { try table.related(toVector: $0, limit: 30, scratch) }
        #expect(scratch.results.map(\.row) == Array(truth.map(\.row).prefix(30)))
    }

    @Test func everyIDIsFoundAndNoOther() throws {
        let fixture = try Fixture(count: 3000, dimension: 1, listLength: 1)
        for (row, id) in fixture.ids.enumerated() {
            #expect(Array(id.utf8).withUnsafeBytes { fixture.table.row(of: $0) } == UInt32(row))
            #expect(fixture.table.id(of: UInt32(row)).elementsEqual(id.utf8))
        }
        for miss in ["", "product-", "product-1", "PRODUCT-0", "product-0 "] + (0..<3000).map({ "miss-\($0)" }) {
            #expect(Array(miss.utf8).withUnsafeBytes { fixture.table.row(of: $0) } == nil)
        }
    }

    @Test func theSameBytesOnAnyNumberOfThreads() throws {
        defer { Parallelism.threads = 0 }
        var files: [[UInt8]] = []
        for threads in [1, 3] {
            Parallelism.threads = threads
            let fixture = try Fixture(count: 500, dimension: 8, listLength: 10)
            files.append(readBytes(fixture.directory.path + "/store/related/1/table.safetensors"))
        }
        #expect(files[0] == files[1])
    }
}

/// The tensors of a small table, to be spoiled one at a time.
private struct Parts {
    var kind = RelatedTable.kind
    var offsets: [UInt64] = [0, 1, 3, 5]
    var bytes = Array("abbé".utf8)
    var slots: [UInt32]
    var source: [Float] = [1, 0, 0, 1, 1, 1]
    var target: [Float] = [2, 0, 0, 2, 1, 1]
    var rows: [UInt32] = [2, 1, 2, 0, 0, 1]
    var scores: [Float] = [1, 0, 1, 0, 2, 2]
    var listLength = 2
    var targetRows = 3

    init() throws {
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "bb", "é"], dimension: 2, source: source, target: target)
        slots = try embeddings.withIDs { ids in Result { try IDIndex.build(ids) } }.get()
    }

    /// The error of opening a table of these parts.
    func error() throws -> String {
        let directory = TemporaryDirectory()
        let store = Store(path: directory.path)
        let specs = [
            TensorSpec("ids.offsets", .uint64, shape: [offsets.count]),
            TensorSpec("ids.bytes", .uint8, shape: [bytes.count]),
            TensorSpec("ids.slots", .uint32, shape: [slots.count]),
            TensorSpec("source", .float32, shape: [3, 2]),
            TensorSpec("target", .float32, shape: [targetRows, target.count / targetRows]),
            TensorSpec("lists.rows", .uint32, shape: [3, listLength]),
            TensorSpec("lists.scores", .float32, shape: [3, listLength]),
        ]
        let contents = TableContents(kind: kind, tensors: specs, buildID: "test")
        _ = try store.publish("t", contents) { writer throws(TableError) in
            try writer.write(offsets, to: "ids.offsets")
            try writer.write(bytes, to: "ids.bytes")
            try writer.write(slots, to: "ids.slots")
            try writer.write(source, to: "source")
            try writer.write(target, to: "target")
            try writer.write(rows, to: "lists.rows")
            try writer.write(scores, to: "lists.scores")
        }
        do {
            _ = try RelatedTable(store.open("t"))
            return "accepted"
        } catch {
            return "\(error)"
        }
    }
}

@Suite struct RelatedTableCheckTests {
    private func refusal(_ spoil: (inout Parts) -> Void) throws -> String {
        var parts = try Parts()
        spoil(&parts)
        return try parts.error()
    }

    @Test func whatAQueryTrustsIsChecked() throws {
        #expect(try refusal { _ in } == "accepted")
        #expect(try refusal { $0.kind = "clicks" }.contains("of kind 'clicks', 'related-products' is needed"))
        #expect(try refusal { $0.offsets[0] = 1 }.contains("'ids.offsets' does not run from 0 to 5"))
        #expect(try refusal { $0.offsets[3] = 4 }.contains("'ids.offsets' does not run from 0 to 5"))
        #expect(try refusal { $0.offsets[1] = 4 }.contains("'ids.offsets' falls at 1"))
        #expect(try refusal { $0.offsets[1] = .max }.contains("'ids.offsets'"))
        #expect(try refusal { $0.offsets[2] = 1 }.contains("the empty string 1"))
        #expect(try refusal { $0.offsets[2] = 4 }.contains("cuts a character in two at string 2"))
        #expect(try refusal { $0.offsets.remove(at: 1) }.contains("is of 2 ids for 3 products"))
        #expect(try refusal { $0.bytes[0] = 0xff }.contains("not UTF-8"))
        #expect(try refusal { $0.slots.removeLast() }.contains("not a power of two"))
        #expect(try refusal { $0.slots = [1, 2, 3, 4] }.contains("does not hold each of the 3 rows once"))
        #expect(try refusal { $0.slots = $0.slots.map { $0 == 1 ? 9 : $0 } }.contains("each of the 3 rows once"))
        #expect(try refusal { $0.slots = $0.slots.map { $0 == 1 ? 0 : $0 } }.contains("each of the 3 rows once"))
        #expect(try refusal { $0.slots = $0.slots.map { $0 == 1 ? 2 : $0 } }.contains("does not find the id of row 0"))
        #expect(try refusal { $0.source[3] = .nan }.contains("'source' holds a vector that is not finite"))
        #expect(try refusal { $0.target[3] = .infinity }.contains("'target' holds a vector that is not finite"))
        #expect(try refusal { $0.target[3] = 2e18 }.contains("'target' holds a vector"))
        #expect(try refusal { $0.targetRows = 2 }.contains("'target' has the shape [2, 3], [3, 2] is needed"))
        #expect(try refusal { $0.rows[0] = RelatedTable.noRow }.contains("not in order, that of row 0"))
        #expect(try refusal { $0.rows[1] = RelatedTable.noRow } == "accepted")
        #expect(try refusal { $0.rows[0] = 3 }.contains("not in order, that of row 0"))
        #expect(try refusal { $0.rows[2] = 1 }.contains("not in order, that of row 1"))
        #expect(try refusal { $0.rows[4] = 1 }.contains("not in order, that of row 2"))
        #expect(try refusal { $0.rows[0] = 1 }.contains("not in order, that of row 0"))
        #expect(try refusal { $0.scores[1] = 1.5 }.contains("not in order, that of row 0"))
        #expect(try refusal { $0.scores[5] = .nan }.contains("not in order, that of row 2"))
        #expect(try refusal { $0.rows.swapAt(4, 5) }.contains("not in order, that of row 2"))
    }
}

@Suite struct RelatedTableBuilderTests {
    private func error(_ make: () throws -> RelatedTableBuilder) -> String {
        do {
            _ = try make()
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func embeddingsComeBackFromAFile() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/embeddings.safetensors"
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "é", "c\0"], dimension: 2, source: [1, 2, 3, 4, 5, 6], target: [6, 5, 4, 3, 2, 1],
            metadata: ["layers": "2"])
        try embeddings.write(to: path)
        let read = try RelatedEmbeddings(path: path)
        #expect(read.idOffsets == embeddings.idOffsets && read.idBytes == embeddings.idBytes)
        #expect(read.source == embeddings.source && read.target == embeddings.target)
        #expect(read.dimension == 2 && read.metadata == ["layers": "2"])
        try embeddings.write(to: path)
        #expect(TemporaryDirectory.names(in: directory.path) == ["embeddings.safetensors"])
        #expect(throws: TableError.self) { try embeddings.write(to: directory.path + "/none/e.safetensors") }
    }

    /// As any other writer leaves it: tensors in any order, nothing aligned, the header not padded.
    @Test func embeddingsOfOtherWritersAreRead() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/embeddings.safetensors"
        for padding in 0..<8 {
            let json = """
                {"source":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},\
                "target":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},\
                "ids.bytes":{"dtype":"U8","shape":[3],"data_offsets":[16,19]},\
                "ids.offsets":{"dtype":"U64","shape":[3],"data_offsets":[19,43]}}
                """ + String(repeating: " ", count: padding)
            var bytes = withUnsafeBytes(of: UInt64(json.utf8.count)) { Array($0) } + json.utf8
            for values in [[1, 2], [3, 4]] as [[Float]] { values.withUnsafeBytes { bytes += $0 } }
            bytes += "abc".utf8
            ([0, 1, 3] as [UInt64]).withUnsafeBytes { bytes += $0 }
            writeBytes(bytes, to: path)
            let read = try RelatedEmbeddings(path: path)
            #expect(read.source == [1, 2] && read.target == [3, 4])
            #expect(read.idBytes == Array("abc".utf8) && read.idOffsets == [0, 1, 3])
            _ = try RelatedTableBuilder(read).publish(
                to: Store(path: directory.path + "/store"), name: "r", buildID: "test")
        }
    }

    @Test func badEmbeddingsAreRefusedByTensor() {
        func make(_ ids: [String], _ source: [Float], dimension: Int = 1) throws -> RelatedTableBuilder {
            let target = [Float](repeating: 0, count: ids.count * dimension)
            return try RelatedTableBuilder(
                RelatedEmbeddings(ids: ids, dimension: dimension, source: source, target: target))
        }
        #expect(error { try make(["a", "b", "a"], [1, 2, 3]) }.contains("'ids.bytes' has the id 'a' in rows 0 and 2"))
        #expect(error { try make(["a\n'", "a\n'"], [1, 2]) }.contains("the id 'a\\n\\'' in rows 0 and 1;"))
        #expect(error { try make(["a", ""], [1, 2]) }.contains("'ids.offsets' has the empty string 1"))
        #expect(error { try make(["a", "b"], [1, .nan]) }.contains("'source' holds nan in row 1"))
        #expect(error { try make(["a", "b"], [1, 2, 3]) }.contains("'source' has 3 coordinates, 2 x 1 are needed"))
        #expect(error { try make(["a", "b"], [1, 2e18]) }.contains("'source' holds a vector longer than"))
        #expect(error { try make([], []) }.contains("0 products"))
        #expect(error { try make(["a"], [], dimension: 0) }.contains("0 coordinates"))
        #expect(error { try make([String(repeating: "x", count: 1025)], [1]) }.contains("1025 bytes, more than 1024"))
    }

    @Test func impossibleListLengthsAreRefused() throws {
        let embeddings = try RelatedEmbeddings(ids: ["a", "b"], dimension: 1, source: [1, 2], target: [1, 2])
        for length in [-1, .min, 10_001, 99_999_999_999_999, .max] {
            #expect(
                error { try RelatedTableBuilder(embeddings, listLength: length) }
                    == "embeddings: list-length must be from 0 to 10000, not \(length); "
                    + "choose one of these; longer answers are found by a scan")
        }
        for length in [0, 1, 10_000] {
            #expect(try RelatedTableBuilder(embeddings, listLength: length).listLength == min(length, 1))
        }
    }

    @Test func progressReachesTheTotal() throws {
        let directory = TemporaryDirectory()
        let values = [Float](repeating: 1, count: 1000)
        let embeddings = try RelatedEmbeddings(
            ids: (0..<1000).map { "\($0)" }, dimension: 1, source: values, target: values,
            metadata: ["edges": "9", "metric.hitRate@10": "0.5", "metric.loss": "nan"])
        let last = Last()
        let version = try RelatedTableBuilder(embeddings, listLength: 2).publish(
            to: Store(path: directory.path + "/s"), name: "r", buildID: "build"
        ) { done, total in last.set(done, total) }
        #expect(version == 1)
        #expect(last.value == [1000, 1000])
        let manifest = try Store(path: directory.path + "/s").manifest(of: "r")
        #expect(manifest.buildID == "build" && manifest.kind == "related-products")
        #expect(manifest.metrics.map(\.name) == ["hitRate@10"] && manifest.metrics.map(\.value) == [0.5])
        #expect(manifest.attributes.map(\.key) == ["edges", "ranker"])
        #expect(manifest.attributes.map(\.value) == ["9", "innerProduct"])
    }
}

/// What a progress callback heard last; the builder calls it from one thread at a time.
private final class Last: @unchecked Sendable {
    private(set) var value: [Int] = []
    func set(_ done: Int, _ total: Int) { value = [done, total] }
}
