import FletchRPC
import FletchSchema
import FletchWire
import LinearAlgebra
import Retrieval
import Services
import Tables
import TestSupport
import Testing

/// A published table of random products, and a handler that is asked in process.
private final class Shop {
    static let count = 300
    static let dimension = 4
    let handler: RelatedProductsHandler
    let table: RelatedTable
    private let directory = TemporaryDirectory()

    init() throws {
        var generator = SeededGenerator(seed: 9)
        func vectors() -> [Float] { (0..<Self.count * Self.dimension).map { _ in generator.normal() } }
        let embeddings = try RelatedEmbeddings(
            ids: (0..<Self.count).map { "p\($0)" }, dimension: Self.dimension, source: vectors(), target: vectors())
        var builder = try RelatedTableBuilder(embeddings, listLength: 20)
        builder.categories = try CategoryTensors((0..<Self.count).map { Self.category(of: $0) })
        let store = Store(path: directory.path)
        _ = try builder.publish(to: store, name: "related", buildID: "test")
        table = try RelatedTable(store.open("related"))
        handler = RelatedProductsHandler(table: table)
    }

    /// Half are shoes, a tenth is hats, one is a crown, and some are nothing.
    static func category(of row: Int) -> String? {
        row == 50
            ? "crown" : row % 2 == 0 ? "shoes" : row % 10 == 1 ? "hats" : row % 10 == 3 ? nil : "category \(row % 10)"
    }

    func ask(_ request: RelatedRequest) throws -> RelatedResponse {
        try inCall { arena, call in
            let builder = RelatedRequest.Builder(in: arena)
            request.copy(into: builder)
            let response = RelatedResponse.Builder(in: arena)
            try handler.related(builder.view, response, call)
            return RelatedResponse(response.view)
        }
    }

    func ask(_ requests: [RelatedRequest]) throws -> [RelatedResult] {
        try inCall { arena, call in
            let builder = RelatedBatchRequest.Builder(in: arena)
            RelatedBatchRequest(requests: requests).copy(into: builder)
            let response = RelatedBatchResponse.Builder(in: arena)
            try handler.relatedBatch(builder.view, response, call)
            return RelatedBatchResponse(response.view).results
        }
    }

    func score(_ edges: [ProductEdge]) throws -> [EdgeScore] {
        try inCall { arena, call in
            let builder = ScoreEdgesRequest.Builder(in: arena)
            ScoreEdgesRequest(edges: edges).copy(into: builder)
            let response = ScoreEdgesResponse.Builder(in: arena)
            try handler.scoreEdges(builder.view, response, call)
            return ScoreEdgesResponse(response.view).scores
        }
    }

    private func inCall<Answer>(_ body: (Arena, UnaryCall) throws -> Answer) throws -> Answer {
        let arena = Arena()
        let storage = UnsafeMutablePointer<UnaryCallStorage>.allocate(capacity: 1)
        storage.initialize(to: UnaryCallStorage())
        defer {
            storage.deinitialize(count: 1)
            storage.deallocate()
            arena.destroy()
        }
        return try body(
            arena, UnaryCall(request: UnsafeRawBufferPointer(start: nil, count: 0), arena: arena, storage: storage))
    }
}

@Suite struct FilteredAnswerTests {
    private let shop: Shop
    /// Every product but p0, best first for it.
    private let all: [RelatedItem]

    init() throws {
        shop = try Shop()
        all = try shop.ask(RelatedRequest(productID: "p0", limit: 1000)).items
    }

    private func category(_ item: RelatedItem) -> String? { Shop.category(of: Int(item.productID.dropFirst())!) }

    private func best(_ limit: Int = 10, where isAdmitted: (RelatedItem) -> Bool) -> [RelatedItem] {
        Array(all.filter(isAdmitted).prefix(limit))
    }

    @Test func categoriesAreAllowedAndDenied() throws {
        #expect(all.count == Shop.count - 1)
        for (allowed, denied) in [
            (["hats"], []), (["crown"], []), (["hats", "crown", "nothing"], ["hats"]), ([], ["shoes", "nothing"]),
            (["nothing"], []),
        ] {
            let answer = try shop.ask(
                RelatedRequest(productID: "p0", limit: 40, allowCategories: allowed, denyCategories: denied))
            let truth = best(40) { item in
                let category = category(item)
                return (allowed.isEmpty || category.map(allowed.contains) ?? false)
                    && !(category.map(denied.contains) ?? false)
            }
            #expect(answer.items == truth, "\(allowed) without \(denied)")
        }
    }

    @Test func aCapLeavesRoomForOthers() throws {
        let answer = try shop.ask(RelatedRequest(productID: "p0", limit: 60, maxPerCategory: 3))
        var taken: [String: Int] = [:]
        let truth = best(60) { item in
            guard let category = category(item) else { return true }
            taken[category, default: 0] += 1
            return taken[category]! <= 3
        }
        #expect(answer.items == truth)
        #expect(truth.contains { category($0) == nil } && truth.contains { category($0) == "hats" })
    }

    @Test func whatACustomerHasIsLeftOut() throws {
        let (bought, excluded) = (all[0].productID, all[2].productID)
        let answer = try shop.ask(
            RelatedRequest(
                productID: "p0", excludeProductIds: [excluded], boughtProductIds: [bought, "nobody", bought]))
        #expect(answer.items == best { $0.productID != bought && $0.productID != excluded })
        #expect(answer.path == .list)
    }

    @Test func everythingAtOnceIsWhatEachSaysAlone() throws {
        let names = all.map(\.productID)
        let answer = try shop.ask(
            RelatedRequest(
                productID: "p0", limit: 12, excludeProductIds: Array(names[0..<30]), relation: .related, exact: true,
                ranker: .innerProduct, explain: true, boughtProductIds: Array(names[30..<60]),
                allowCategories: ["shoes", "hats", "shoes", "crown"] + (0..<900).map { "unknown \($0)" },
                denyCategories: ["crown"], maxPerCategory: 5))
        var taken: [String: Int] = [:]
        let truth = best(12) { item in
            guard !names[0..<60].contains(item.productID), let category = category(item),
                ["shoes", "hats"].contains(category)
            else { return false }
            taken[category, default: 0] += 1
            return taken[category]! <= 5
        }
        #expect(answer.items.map(\.productID) == truth.map(\.productID))
        for item in answer.items {
            let explanation = try #require(item.explanation)
            #expect(explanation.ranker == .innerProduct && explanation.category == category(item))
            #expect(explanation.forwardScore == item.score && explanation.pathScore == 0)
            let edge = try shop.score([ProductEdge(sourceProductID: "p0", targetProductID: item.productID)])[0]
            #expect(edge.forward == item.score && edge.reverse == explanation.reverseScore)
        }
    }

    @Test func similarProductsAreNotTheProductItself() throws {
        for request in [
            RelatedRequest(productID: "p7", relation: .similar),
            RelatedRequest(productIds: ["p7", "p8"], relation: .similar),
            RelatedRequest(sourceVector: [1, -2, 3, 0.5], relation: .similar),
        ] {
            let answer = try shop.ask(request)
            #expect(answer.path == .quantizedScan && answer.items.count == 10)
            #expect(
                !answer.items.contains {
                    request.productID == $0.productID || request.productIds.contains($0.productID)
                })
            #expect(zip(answer.items, answer.items.dropFirst()).allSatisfy { $0.score >= $1.score })
        }
    }

    @Test func aBatchHoldsEachFilterToItsOwnRequest() throws {
        let results = try shop.ask([
            RelatedRequest(productID: "p0", allowCategories: ["crown"], maxPerCategory: 1),
            RelatedRequest(productID: "p0"),
            RelatedRequest(productID: "p0", allowCategories: [""]),
            RelatedRequest(productID: "p0", denyCategories: Array(repeating: "x", count: 1001)),
            RelatedRequest(productID: "p0", ranker: .hybrid),
            RelatedRequest(newProduct: NewProduct(features: ["brand": "acme"])),
            RelatedRequest(productID: "p0", relation: .similar, maxPerCategory: 2),
        ])
        #expect(results.map(\.status?.code) == [0, 0, 3, 3, 9, 9, 0])
        #expect(results[0].response?.items.map(\.productID) == ["p50"])
        #expect(results[1].response?.items == best { _ in true })
        #expect(results[2].status?.message == "allow_categories[0]: the category is empty")
        #expect(results[3].status?.message == "deny_categories: 1001 entries; send at most 1000")
        #expect(results[4].response == nil && results[4].status?.message.contains("fletch publish") == true)
        let taken = Dictionary(grouping: results[6].response!.items.compactMap(category)) { $0 }
        #expect(taken.values.allSatisfy { $0.count <= 2 })
    }

    @Test func edgesNameTheProductThatIsWrong() throws {
        for (edge, code, text) in [
            (ProductEdge(sourceProductID: "p1", targetProductID: "nobody"), StatusCode.notFound, "'nobody'"),
            (ProductEdge(sourceProductID: "p1"), .invalidArgument, "edges[1].target_product_id: the id is empty"),
        ] {
            let good = ProductEdge(sourceProductID: "p1", targetProductID: "p1")
            let error = #expect(throws: RPCError.self) { try shop.score([good, edge]) }
            #expect(error?.code == code && error?.message.contains(text) == true)
        }
        let tooMany = Array(repeating: ProductEdge(), count: 10_001)
        #expect(throws: RPCError.self) { try shop.score(tooMany) }
        #expect(try shop.score([]).isEmpty)
    }
}
