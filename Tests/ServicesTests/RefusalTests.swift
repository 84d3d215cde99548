import FletchRPC
import Retrieval
import FletchRichErrors
import FletchSchema
import Services
import Tables
import TestSupport
import Testing
import FletchWire

/// What the handler itself throws, details included, without a server.
@Suite struct RefusalTests {
    private let directory = TemporaryDirectory()

    private func table() throws -> RelatedTable {
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "b"], dimension: 2, source: [1, 0, 0, 1], target: [-1, 0, 3, 0])
        let store = Store(path: directory.path)
        let version = try RelatedTableBuilder(embeddings, listLength: 1).publish(
            to: store, name: "related", buildID: "test")
        return try RelatedTable(store.open("related", version: version))
    }

    private func refusal(_ request: RelatedRequest, table: RelatedTable?) throws -> RPCError {
        let handler = RelatedProductsHandler(table: table)
        let arena = Arena()
        let storage = UnsafeMutablePointer<UnaryCallStorage>.allocate(capacity: 1)
        storage.initialize(to: UnaryCallStorage())
        defer {
            storage.deinitialize(count: 1)
            storage.deallocate()
            arena.destroy()
        }
        let call = UnaryCall(request: UnsafeRawBufferPointer(start: nil, count: 0), arena: arena, storage: storage)
        let view = RelatedRequest.Builder(in: arena)
        request.copy(into: view)
        let error = #expect(throws: RPCError.self) {
            try handler.related(view.view, RelatedResponse.Builder(in: arena), call)
        }
        return try #require(error)
    }

    @Test func anUnknownProductIsToldToProgramsToo() throws {
        let error = try refusal(RelatedRequest(productID: "d"), table: table())
        #expect(error.code == .notFound && error.message == "product 'd' is not in table related, version 1")
        #expect(
            error.detail(ErrorInfo.self)
                == ErrorInfo(
                    reason: "PRODUCT_NOT_FOUND", domain: "fletch.dev",
                    metadata: ["productId": "d", "table": "related", "tableVersion": "1"]))
    }

    @Test(arguments: [
        (RelatedRequest(productID: "a", ranker: .hybrid), "ranker", "RANKER_NOT_IN_TABLE"),
        (RelatedRequest(productID: "a", allowCategories: ["x"]), "allow_categories", "NO_CATEGORIES"),
        (RelatedRequest(productID: "a", denyCategories: ["x"]), "deny_categories", "NO_CATEGORIES"),
        (RelatedRequest(productID: "a", maxPerCategory: 1), "max_per_category", "NO_CATEGORIES"),
        (RelatedRequest(newProduct: NewProduct(features: ["x": "y"])), "new_product", "NO_ENCODER"),
    ])
    func whatATableLacksIsNamed(_ request: RelatedRequest, _ field: String, _ reason: String) throws {
        let error = try refusal(request, table: table())
        #expect(
            error.code == .failedPrecondition && error.message.hasPrefix("\(field): table related, version 1, has no"))
        #expect(error.message.contains("publish"))
        #expect(
            error.detail(ErrorInfo.self)
                == ErrorInfo(
                    reason: reason, domain: "fletch.dev",
                    metadata: ["field": field, "table": "related", "tableVersion": "1"]))
    }

    @Test func aMissingTableHasAReason() throws {
        let error = try refusal(RelatedRequest(productID: "a"), table: nil)
        #expect(error.code == .unavailable && error.detail(ErrorInfo.self)?.reason == "TABLE_NOT_LOADED")
    }

    @Test(arguments: [
        (RelatedRequest(), ["product_id", "product_ids", "source_vector", "new_product"]),
        (
            RelatedRequest(productID: "a", newProduct: NewProduct(leadsToProductIds: ["b"])),
            ["product_id", "new_product"]
        ),
        (RelatedRequest(newProduct: NewProduct()), ["new_product"]),
        (
            RelatedRequest(newProduct: NewProduct(followsProductIds: Array(repeating: "a", count: 1001))),
            ["new_product.follows_product_ids"]
        ),
        (RelatedRequest(productID: "a", relation: Relation(rawValue: 7)), ["relation"]),
        (RelatedRequest(productID: "a", ranker: Ranker(rawValue: -1)), ["ranker"]),
        (RelatedRequest(productIds: ["a", "b"], ranker: .hybrid), ["ranker"]),
        (RelatedRequest(sourceVector: [1, 0], ranker: .hybrid), ["ranker"]),
        (RelatedRequest(productID: "a", relation: .similar, ranker: .hybrid), ["ranker"]),
        (
            RelatedRequest(productID: "a", boughtProductIds: Array(repeating: "b", count: 10_001)),
            ["bought_product_ids"]
        ),
        (RelatedRequest(productID: "a", productIds: ["b"]), ["product_id", "product_ids"]),
        (RelatedRequest(productIds: ["a", ""]), ["product_ids[1]"]),
        (RelatedRequest(sourceVector: [1]), ["source_vector"]),
        (RelatedRequest(productID: "a", limit: 1001), ["limit"]),
    ])
    func everyWrongFieldIsAViolation(_ request: RelatedRequest, _ fields: [String]) throws {
        let error = try refusal(request, table: table())
        #expect(error.code == .invalidArgument)
        let violations = try #require(error.detail(BadRequest.self)).fieldViolations
        #expect(violations.map(\.field) == fields)
        #expect(violations.allSatisfy { !$0.description.isEmpty && error.message.hasSuffix($0.description) })
    }
}
