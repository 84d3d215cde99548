import FletchClient
import FletchEventLoop
import Glibc
import Logging
import FletchRPC
import Retrieval
import FletchRichErrors
import FletchSchema
import FletchServer
import FletchServiceSchema
import Services
import Tables
import TestSupport
import Testing

/// A store with versions of a small table and a server on it, asked through the generated stub.
private final class Shop {
    let store: Store
    private(set) var client: RelatedProductsClient!
    private let directory = TemporaryDirectory()
    private let server: Server
    private let address: ListenAddress

    init(versions: Int = 1, longScan: Int = RelatedProductsHandler.longScan) throws {
        store = Store(path: "\(directory.path)/store")
        mkdir(store.path, 0o755)
        for _ in 0..<versions { try Self.publish(to: store) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var configuration = ServerConfiguration(address: try ListenAddress("127.0.0.1:0"))
        configuration.handlesSignals = false
        configuration.loopCount = 2
        let serving = try RelatedProductsServing(store: store, name: "related", loopCount: 2, logger: logger)
        server = Server(configuration, logger: logger) { serving.methods(loop: $0, longScan: longScan) }
        serving.follow(with: server)
        address = try server.start()[0]
        client = try connect()
    }

    /// A client with a connection of its own.
    func connect() throws -> RelatedProductsClient {
        RelatedProductsClient(try Channel(to: "\(address)"))
    }

    deinit {
        server.shutDown()
        server.wait()
    }

    /// a leads to b (score 3), then to c (0); b to c (2), then to a and b (0); c to a (1), then to c and b.
    static func publish(to store: Store) throws {
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "b", "c"], dimension: 2, source: [1, 0, 0, 1, -1, 0], target: [-1, 0, 3, 0, 0, 2])
        _ = try RelatedTableBuilder(embeddings, listLength: 1).publish(to: store, name: "related", buildID: "test")
    }

    func ask(_ request: RelatedRequest) async throws(RPCError) -> [String] {
        try await client.related(request).items.map { "\($0.productID) \($0.score)" }
    }

    func refusal(_ request: RelatedRequest) async -> RPCError? {
        await #expect(throws: RPCError.self) { try await client.related(request) }
    }
}

@Suite struct RelatedProductsTests {
    @Test(arguments: [0, RelatedProductsHandler.longScan])
    func aProductIsAnsweredFromItsListWhereThatReaches(longScan: Int) async throws {
        let shop = try Shop(longScan: longScan)
        let first = try await shop.client.related(RelatedRequest(productID: "a", limit: 1))
        #expect(first.items == [RelatedItem(productID: "b", score: 3)])
        #expect(first.path == .list)
        #expect(first.tableVersion == "1")
        #expect(try await shop.client.related(RelatedRequest(productID: "a")).path == .quantizedScan)
        #expect(try await shop.ask(RelatedRequest(productID: "a")) == ["b 3.0", "c 0.0"])
    }

    @Test func anExcludedProductIsReplacedByTheNextBest() async throws {
        let shop = try Shop()
        #expect(
            try await shop.ask(RelatedRequest(productID: "a", limit: 1, excludeProductIds: ["b", "nobody"])) == [
                "c 0.0"
            ])
    }

    @Test func aCartRanksByTheMeanAndLeavesItselfOut() async throws {
        let shop = try Shop()
        #expect(try await shop.ask(RelatedRequest(productIds: ["a", "b", "a"])) == ["c 1.0"])
    }

    @Test func aVectorMayFindEveryProduct() async throws {
        let shop = try Shop()
        #expect(try await shop.ask(RelatedRequest(sourceVector: [1, 1])) == ["b 3.0", "c 2.0", "a -1.0"])
    }

    @Test(arguments: [
        (RelatedRequest(), "product_id"),
        (RelatedRequest(productID: "a", productIds: ["b"]), "product_id and product_ids"),
        (RelatedRequest(productID: "a", sourceVector: [1, 2]), "source_vector"),
        (RelatedRequest(productIds: ["a", ""]), "product_ids[1]"),
        (RelatedRequest(productIds: Array(repeating: "a", count: 1001)), "product_ids"),
        (RelatedRequest(sourceVector: [1]), "source_vector: 1 coordinates where the table has 2"),
        (RelatedRequest(sourceVector: [1, .nan]), "source_vector"),
        (RelatedRequest(sourceVector: [1, -.infinity]), "source_vector"),
        (RelatedRequest(sourceVector: [3e38, 3e38]), "source_vector"),
        (RelatedRequest(productID: "a", limit: 1001), "limit"),
        (
            RelatedRequest(productID: "a", excludeProductIds: Array(repeating: "a", count: 10_001)),
            "exclude_product_ids"
        ),
    ])
    func aWrongRequestNamesItsField(request: RelatedRequest, field: String) async throws {
        let error = try await Shop().refusal(request)
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(field) == true)
    }

    @Test func anUnknownProductIsNamedAndCutWhereItIsLong() async throws {
        let shop = try Shop()
        let unknown = try #require(await shop.refusal(RelatedRequest(productID: "d")))
        #expect(unknown.code == .notFound && unknown.message == "product 'd' is not in table related, version 1")
        #expect(unknown.detail(ErrorInfo.self)?.reason == "PRODUCT_NOT_FOUND")
        let long = try #require(
            await shop.refusal(RelatedRequest(productIds: ["a", String(repeating: "é", count: 100_000)])))
        #expect(long.code == .notFound)
        #expect(long.message.utf8.count < 300)
    }

    @Test(arguments: [0, RelatedProductsHandler.longScan])
    func eachRequestOfABatchHasItsOwnStatus(longScan: Int) async throws {
        let shop = try Shop(longScan: longScan)
        let results = try await shop.client.relatedBatch(
            RelatedBatchRequest(requests: [
                RelatedRequest(productID: "b", limit: 1), RelatedRequest(productID: "d"), RelatedRequest(),
            ])
        ).results
        #expect(results.map(\.status?.code) == [0, 5, 3])
        #expect(results[0].response?.items == [RelatedItem(productID: "c", score: 2)])
        #expect(results[1].response == nil)
        #expect(results[1].status?.message.contains("'d'") == true)
    }

    /// More than its loop would look up itself.
    @Test(arguments: [3, 10_000])
    func edgesAreScoredBothWays(count: Int) async throws {
        let shop = try Shop()
        var edges = Array(repeating: ProductEdge(sourceProductID: "a", targetProductID: "b"), count: count)
        edges[count - 1] = ProductEdge(sourceProductID: "c", targetProductID: "c")
        let response = try await shop.client.scoreEdges(ScoreEdgesRequest(edges: edges))
        #expect(response.tableVersion == "1" && response.scores.count == count)
        #expect(response.scores[0] == EdgeScore(forward: 3, reverse: 0))
        #expect(response.scores[count - 1] == EdgeScore(forward: 0, reverse: 0))
        edges[count / 2].targetProductID = "nobody"
        let error = await #expect(throws: RPCError.self) {
            try await shop.client.scoreEdges(ScoreEdgesRequest(edges: edges))
        }
        #expect(error?.code == .notFound)
    }

    @Test func aBatchHasALimitAndADeadline() async throws {
        let shop = try Shop()
        let batch = RelatedBatchRequest(requests: Array(repeating: RelatedRequest(productID: "a"), count: 257))
        let tooMany = await #expect(throws: RPCError.self) { try await shop.client.relatedBatch(batch) }
        #expect(tooMany?.code == .invalidArgument)
        let large = RelatedBatchRequest(
            requests: Array(repeating: RelatedRequest(productID: "a", limit: 1000), count: 51))
        let tooLarge = await #expect(throws: RPCError.self) { try await shop.client.relatedBatch(large) }
        #expect(tooLarge?.code == .invalidArgument && tooLarge?.message.contains("51000 items") == true)
        let late = await #expect(throws: RPCError.self) {
            try await shop.client.related(RelatedRequest(productID: "a"), options: CallOptions(timeout: .zero))
        }
        #expect(late?.code == .deadlineExceeded)
    }

    @Test func aStoreWithoutTheTableAnswersUnavailableUntilItIsPublished() async throws {
        let shop = try Shop(versions: 0)
        #expect(await shop.refusal(RelatedRequest(productID: "a"))?.code == .unavailable)
        try Shop.publish(to: shop.store)
        #expect(await waitFor { (try? await shop.ask(RelatedRequest(productID: "a", limit: 1))) == ["b 3.0"] })
    }

    @Test func theServerFollowsTheStoreForthAndBack() async throws {
        let shop = try Shop()
        func isServed(_ version: String) async -> Bool {
            await waitFor { (try? await shop.client.related(RelatedRequest(productID: "a")))?.tableVersion == version }
        }
        try Shop.publish(to: shop.store)
        #expect(await isServed("2"))
        try shop.store.activate("related", version: 1)
        #expect(await isServed("1"))
    }

    @Test func aReplacedVersionIsUnmappedOnceNoLoopServesIt() async throws {
        let shop = try Shop()
        func isMapped(_ version: Int) -> Bool {
            let maps = String(decoding: readBytes("/proc/self/maps"), as: UTF8.self)
            return maps.contains("\(shop.store.path)/related/\(version)/")
        }
        // Enough connections that both loops have some; none of their calls may fail or mix versions.
        let clients = try (0..<8).map { _ in try shop.connect() }
        for version in 2...4 {
            try Shop.publish(to: shop.store)
            #expect(
                await waitFor {
                    for client in clients {
                        let answer = try? await client.related(RelatedRequest(productID: "a"))
                        guard answer?.tableVersion == String(version) else { return false }
                    }
                    return true
                })
            #expect(isMapped(version))
            #expect(await waitFor { !isMapped(version - 1) })
        }
    }

    @Test func aDamagedVersionIsRefusedAndTheServedOneKept() async throws {
        let shop = try Shop()
        try Shop.publish(to: shop.store)
        #expect(
            await waitFor { (try? await shop.client.related(RelatedRequest(productID: "a")))?.tableVersion == "2" })
        let path = "\(shop.store.path)/related/1/table.safetensors"
        writeByte(readBytes(path).last! ^ 1, at: readBytes(path).count - 1, of: path)
        writeBytes(Array("1\n".utf8), to: "\(shop.store.path)/related/CURRENT")
        try await Task.sleep(for: .milliseconds(1200))
        #expect(try await shop.client.related(RelatedRequest(productID: "a")).tableVersion == "2")
    }
}

/// Whether `condition` holds within ten seconds.
private func waitFor(_ condition: () async -> Bool) async -> Bool {
    for _ in 0..<500 {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(20))
    }
    return false
}
