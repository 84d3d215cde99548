import LinearAlgebra
import Tables
import TestSupport
import Testing

@testable import Retrieval

/// A published table of random products in categories, and the truth about every question, computed the slow way.
private final class Shop {
    static let count = 400
    static let dimension = 5
    static let listLength = 20
    static let similarDimension = 3

    let source: [Float]
    let target: [Float]
    /// The category of each product: one of half of them, small ones, one of a single product; nil for none.
    let categories: [Int?]
    /// What ranks a product's list, before it ends.
    private(set) var lists: [[ScoredRow]] = []
    private(set) var table: RelatedTable!
    private let directory = TemporaryDirectory()

    /// `levels` makes coordinates whole numbers of that range, so that many scores are equal.
    init(_ ranker: RelatedTable.Ranker = .innerProduct, levels: Int? = nil) throws {
        var generator = SeededGenerator(seed: 3)
        func vectors() -> [Float] {
            (0..<Self.count * Self.dimension).map { _ in
                levels.map { Float(generator.uniform(below: $0)) } ?? generator.normal()
            }
        }
        (source, target) = (vectors(), vectors())
        categories = (0..<Self.count).map { row in
            if row == 77 { return 9 }
            let draw = generator.uniform(below: 100)
            return draw < 50 ? 0 : draw < 70 ? 1 : draw < 90 ? 2 + draw % 7 : nil
        }
        lists = (0..<Self.count).map { row in
            let scored = (0..<Self.count).filter { $0 != row }.map { other in
                // Some are reached by paths, which lift them.
                let boost = ranker == .hybrid && generator.uniform(below: 10) == 0 ? generator.uniform() * 5 : 0
                return ScoredRow(row: UInt32(other), score: score(sourceVector(row), other) + boost)
            }
            return Array(scored.sorted { $0.precedes($1) }.prefix(Self.listLength))
        }
        table = try publish(ranker)
    }

    func name(_ category: Int) -> String { "category \(category)" }

    private func publish(_ ranker: RelatedTable.Ranker) throws -> RelatedTable {
        let embeddings = try RelatedEmbeddings(
            ids: (0..<Self.count).map { "p\($0)" }, dimension: Self.dimension, source: source, target: target)
        let slots = try embeddings.withIDs { ids in Result { try IDIndex.build(ids) } }.get()
        let categories = try CategoryTensors(categories.map { $0.map(name) })
        let shape = [Self.count, Self.dimension]
        let contents = TableContents(
            kind: RelatedTable.kind,
            tensors: [
                TensorSpec("ids.offsets", .uint64, shape: [Self.count + 1]),
                TensorSpec("ids.bytes", .uint8, shape: [embeddings.idBytes.count]),
                TensorSpec("ids.slots", .uint32, shape: [slots.count]),
                TensorSpec("source", .float32, shape: shape), TensorSpec("target", .float32, shape: shape),
                TensorSpec("lists.rows", .uint32, shape: [Self.count, Self.listLength]),
                TensorSpec("lists.scores", .float32, shape: [Self.count, Self.listLength]),
            ] + categories.specs, buildID: "test",
            attributes: ["ranker": ranker.rawValue, "similar.dimension": "\(Self.similarDimension)"])
        let store = Store(path: directory.path + "/store")
        _ = try store.publish("related", contents) { writer throws(TableError) in
            try writer.write(embeddings.idOffsets, to: "ids.offsets")
            try writer.write(embeddings.idBytes, to: "ids.bytes")
            try writer.write(slots, to: "ids.slots")
            try writer.write(source, to: "source")
            try writer.write(target, to: "target")
            try writer.write(lists.flatMap { $0.map(\.row) }, to: "lists.rows")
            try writer.write(lists.flatMap { $0.map(\.score) }, to: "lists.scores")
            try categories.write(to: writer)
        }
        return try RelatedTable(store.open("related"))
    }

    func sourceVector(_ row: Int) -> [Float] { Array(source[row * Self.dimension..<(row + 1) * Self.dimension]) }

    /// An inner product as the library promises it: in double precision, then rounded.
    func score(_ vector: [Float], _ row: Int, of matrix: KeyPath<Shop, [Float]> = \.target) -> Float {
        var lanes = [Double](repeating: 0, count: 8)
        for index in 0..<Self.dimension {
            lanes[index % 8] += Double(vector[index]) * Double(self[keyPath: matrix][row * Self.dimension + index])
        }
        return Float(((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])))
    }
}

/// A question with random filters.
private struct Question {
    var cart: [Int] = []
    var vector: [Float]?
    var query: RelatedQuery
    var excluded: Set<Int> = []
    var allowed: Set<Int>?
    var denied: Set<Int> = []

    init(_ generator: inout SeededGenerator) {
        func draw(_ bound: Int) -> Int { generator.uniform(below: bound) }
        query = RelatedQuery(limit: 1 + draw([3, 25, 120, 500][draw(4)]))
        switch draw(5) {
        case 0: cart = (0..<1 + draw(4)).map { _ in draw(Shop.count) }
        case 1: vector = (0..<Shop.dimension).map { _ in generator.normal() }
        default: cart = [draw(Shop.count)]
        }
        if draw(4) == 0 { query.relation = .similar }
        if draw(4) == 0 { query.ranker = .innerProduct }
        if draw(2) == 0 { excluded = Set((0..<draw(60)).map { _ in draw(Shop.count) }) }
        if draw(2) == 0 { allowed = Set((0..<draw(4)).map { _ in draw(10) }) }
        if draw(3) == 0 { denied = Set((0..<draw(4)).map { _ in draw(10) }) }
        if draw(2) == 0 { query.maxPerCategory = 1 + draw(6) }
    }

    /// All rows but those asked with in the order in which they are to be offered.
    private func order(_ shop: Shop) -> [ScoredRow] {
        let cart = Array(Set(self.cart)).sorted()
        // The mean as the definition has it, in the order in which the products were named.
        var members: [Int] = []
        for row in self.cart where !members.contains(row) { members.append(row) }
        var vector =
            vector
            ?? (0..<Shop.dimension).map { coordinate in
                let sum = members.reduce(0.0) { $0 + Double(shop.source[$1 * Shop.dimension + coordinate]) }
                return Float(sum / Double(members.count))
            }
        let rows = (0..<Shop.count).filter { !cart.contains($0) }
        if query.relation == .similar {
            for index in Shop.similarDimension..<Shop.dimension { vector[index] = 0 }
            return rows.map { ScoredRow(row: UInt32($0), score: shop.score(vector, $0, of: \.source)) }
                .sorted { $0.precedes($1) }
        }
        let all = rows.map { ScoredRow(row: UInt32($0), score: shop.score(vector, $0)) }.sorted { $0.precedes($1) }
        guard cart.count == 1, query.ranker == nil || query.ranker == shop.table.ranker else { return all }
        let list = shop.lists[cart[0]]
        return list + all.filter { candidate in !list.contains { $0.row == candidate.row } }
    }

    func truth(_ shop: Shop) -> [ScoredRow] {
        var answer: [ScoredRow] = []
        var taken: [Int: Int] = [:]
        for candidate in order(shop) where answer.count < query.limit && !excluded.contains(Int(candidate.row)) {
            let category = shop.categories[Int(candidate.row)]
            if let allowed, category.map({ !allowed.contains($0) }) ?? true { continue }
            if let category {
                if denied.contains(category) { continue }
                if query.maxPerCategory > 0, taken[category, default: 0] == query.maxPerCategory { continue }
                taken[category, default: 0] += 1
            }
            answer.append(candidate)
        }
        return answer
    }

    func ask(_ shop: Shop, _ scratch: RelatedScratch) throws -> RelatedTable.Path? {
        let table = shop.table!
        func category(_ number: Int) -> UInt32? {
            Array(shop.name(number).utf8).withUnsafeBytes { table.category(named: $0) }
        }
        scratch.reset()
        for row in excluded { scratch.exclude(UInt32(row)) }
        if let allowed {
            table.allowOnly(scratch)
            for number in allowed { category(number).map { table.allow($0, scratch) } }
        }
        for number in denied { category(number).map { table.deny($0, scratch) } }
        if let vector { return try vector.withUnsafeBufferPointer { try table.find(vector: $0, query, scratch) } }
        if cart.count == 1 { return table.find(product: UInt32(cart[0]), query, scratch) }
        for row in cart { scratch.addToCart(UInt32(row)) }
        return table.findCart(query, scratch)
    }
}

@Suite struct FilterTests {
    @Test(arguments: [RelatedTable.Ranker.innerProduct, .hybrid], [nil, 3])
    func everyAnswerIsTheUnfilteredOneWithoutWhatIsNotAdmitted(ranker: RelatedTable.Ranker, levels: Int?) throws {
        let shop = try Shop(ranker, levels: levels)
        let scratch = RelatedScratch()
        var generator = SeededGenerator(seed: 11)
        var paths: [RelatedTable.Path: Int] = [:]
        for number in 0..<300 {
            let question = Question(&generator)
            let path = try #require(try question.ask(shop, scratch))
            paths[path, default: 0] += 1
            let truth = question.truth(shop)
            guard Array(scratch.results) != truth else { continue }
            Issue.record("question \(number): \(question)\nfound \(Array(scratch.results))\nnot   \(truth)")
            return
        }
        #expect(paths[.list] ?? 0 > 20 && paths[.scan] ?? 0 > 20)
    }

    @Test func aCategoryOfOneProductIsFoundFromEverywhere() throws {
        let shop = try Shop()
        let scratch = RelatedScratch()
        for row in 0..<Shop.count {
            var question = Question.one(row)
            question.allowed = [9]
            _ = try question.ask(shop, scratch)
            #expect(scratch.results.map(\.row) == (row == 77 ? [] : [77]))
        }
    }

    @Test func nothingIsLeftWhereNothingIsAllowed() throws {
        let shop = try Shop()
        let scratch = RelatedScratch()
        var question = Question.one(5)
        question.allowed = []
        _ = try question.ask(shop, scratch)
        #expect(scratch.results.isEmpty)
        // An unknown category, and one that is denied as well.
        question.allowed = [55, 9]
        question.denied = [9]
        _ = try question.ask(shop, scratch)
        #expect(scratch.results.isEmpty)
    }

    @Test func aFilterHoldsForOneQuestionOnly() throws {
        let shop = try Shop()
        let scratch = RelatedScratch()
        var question = Question.one(5)
        _ = try question.ask(shop, scratch)
        let unfiltered = Array(scratch.results)
        question.allowed = [3]
        question.query.maxPerCategory = 1
        _ = try question.ask(shop, scratch)
        #expect(scratch.results.count == 1)
        _ = try Question.one(5).ask(shop, scratch)
        #expect(Array(scratch.results) == unfiltered)
    }

    @Test func whatWouldReadTooMuchFindsNothing() throws {
        let shop = try Shop()
        let scratch = RelatedScratch()
        var question = Question.one(5)
        question.query.work = Shop.count * Shop.dimension - 1
        #expect(try question.ask(shop, scratch) == .list)
        question.query.limit = Shop.listLength + 1
        #expect(try question.ask(shop, scratch) == nil)
        // Few rows are read one by one.
        question.allowed = [9]
        #expect(try question.ask(shop, scratch) == .scan)
        #expect(scratch.results.map(\.row) == [77])
    }

    @Test(arguments: [RelatedTable.Ranker.innerProduct, .hybrid])
    func explanationsAddUp(ranker: RelatedTable.Ranker) throws {
        let shop = try Shop(ranker)
        let scratch = RelatedScratch()
        var question = Question.one(8)
        question.query.limit = Shop.listLength + 5
        _ = try question.ask(shop, scratch)
        for (place, result) in scratch.results.enumerated() {
            let explanation = shop.table.explanation(at: place, scratch)
            #expect(explanation.ranker == (place < Shop.listLength ? ranker : .innerProduct))
            #expect(explanation.forward == shop.score(shop.sourceVector(8), Int(result.row)))
            #expect(explanation.reverse == shop.score(shop.sourceVector(Int(result.row)), 8))
            #expect(explanation.path == result.score - explanation.forward)
            if explanation.ranker == .innerProduct { #expect(explanation.path == 0) }
        }
    }

    @Test func aCartIsExplainedByItsMeansAndAVectorOneWay() throws {
        let shop = try Shop()
        let scratch = RelatedScratch()
        scratch.addToCart(3)
        scratch.addToCart(9)
        _ = shop.table.findCart(RelatedQuery(limit: 4), explains: true, scratch)
        let row = Int(scratch.results[2].row)
        let explanation = shop.table.explanation(at: 2, scratch)
        let back = (shop.score(shop.sourceVector(row), 3) + shop.score(shop.sourceVector(row), 9)) / 2
        #expect(explanation.forward == scratch.results[2].score)
        #expect(abs(try #require(explanation.reverse) - back) < 1e-5)
        scratch.reset()
        _ = try shop.sourceVector(4).withUnsafeBufferPointer { vector in
            let path = try shop.table.find(vector: vector, RelatedQuery(limit: 4), scratch)
            let explanation = shop.table.explanation(at: 0, scratch)
            #expect(explanation.forward == scratch.results[0].score && explanation.reverse == nil)
            return path
        }
    }

    @Test func categoriesHaveNames() throws {
        let shop = try Shop()
        for row in 0..<Shop.count {
            let name = shop.table.categoryName(of: UInt32(row)).map { String(decoding: $0, as: UTF8.self) }
            #expect(name == shop.categories[row].map(shop.name))
        }
        for miss in ["", "category", "category 10", "category 99", "Category 1", "zzz"] {
            #expect(Array(miss.utf8).withUnsafeBytes { shop.table.category(named: $0) } == nil)
        }
    }
}

extension Question {
    /// Ten rows for one product, without filters.
    fileprivate static func one(_ row: Int) -> Question {
        var generator = SeededGenerator(seed: 1)
        var question = Question(&generator)
        question.query = RelatedQuery(limit: 10)
        (question.cart, question.vector) = ([row], nil)
        (question.excluded, question.allowed, question.denied) = ([], nil, [])
        return question
    }
}
