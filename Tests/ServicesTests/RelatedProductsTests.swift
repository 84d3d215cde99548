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
    private(set) var client: RelatedProductsClient<Channel>!
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
    func connect() throws -> RelatedProductsClient<Channel> {
        RelatedProductsClient(try Channel(target: "\(address)"))
    }

    deinit {
        // The channel reads only while it calls: it would not notice that the server ends.
        client = nil
        server.shutDown()
        server.wait()
    }

    /// a leads to b (score 3), then to c (0); b to c (2), then to a and b (0); c to a (1), then to c and b.
    static func publish(to store: Store) throws {
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "b", "c"], dimension: 2, source: [1, 0, 0, 1, -1, 0], target: [-1, 0, 3, 0, 0, 2])
        _ = try RelatedTableBuilder(embeddings, listLength: 1).publish(to: store, name: "related", buildID: "test")
    }

    func ask(_ request: RelatedRequest) throws(RPCError) -> [String] {
        try client.related(request).items.map { "\($0.productID) \($0.score)" }
    }

    func refusal(_ request: RelatedRequest) -> RPCError? {
        #expect(throws: RPCError.self) { try client.related(request) }
    }
}

@Suite struct RelatedProductsTests {
    @Test(arguments: [0, RelatedProductsHandler.longScan])
    func aProductIsAnsweredFromItsListWhereThatReaches(longScan: Int) throws {
        let shop = try Shop(longScan: longScan)
        let first = try shop.client.related(RelatedRequest(productID: "a", limit: 1))
        #expect(first.items == [RelatedItem(productID: "b", score: 3)])
        #expect(first.path == .list)
        #expect(first.tableVersion == "1")
        #expect(try shop.client.related(RelatedRequest(productID: "a")).path == .scan)
        #expect(try shop.ask(RelatedRequest(productID: "a")) == ["b 3.0", "c 0.0"])
    }

    @Test func anExcludedProductIsReplacedByTheNextBest() throws {
        let shop = try Shop()
        #expect(
            try shop.ask(RelatedRequest(productID: "a", limit: 1, excludeProductIds: ["b", "nobody"])) == ["c 0.0"])
    }

    @Test func aCartRanksByTheMeanAndLeavesItselfOut() throws {
        let shop = try Shop()
        #expect(try shop.ask(RelatedRequest(productIds: ["a", "b", "a"])) == ["c 1.0"])
    }

    @Test func aVectorMayFindEveryProduct() throws {
        let shop = try Shop()
        #expect(try shop.ask(RelatedRequest(sourceVector: [1, 1])) == ["b 3.0", "c 2.0", "a -1.0"])
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
    func aWrongRequestNamesItsField(request: RelatedRequest, field: String) throws {
        let error = try Shop().refusal(request)
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(field) == true)
    }

    @Test func anUnknownProductIsNamedAndCutWhereItIsLong() throws {
        let shop = try Shop()
        let unknown = try #require(shop.refusal(RelatedRequest(productID: "d")))
        #expect(unknown.code == .notFound && unknown.message == "product 'd' is not in table related, version 1")
        #expect(unknown.detail(ErrorInfo.self)?.reason == "PRODUCT_NOT_FOUND")
        let long = try #require(
            shop.refusal(RelatedRequest(productIds: ["a", String(repeating: "é", count: 100_000)])))
        #expect(long.code == .notFound)
        #expect(long.message.utf8.count < 300)
    }

    @Test(arguments: [0, RelatedProductsHandler.longScan])
    func eachRequestOfABatchHasItsOwnStatus(longScan: Int) throws {
        let shop = try Shop(longScan: longScan)
        let results = try shop.client.relatedBatch(
            RelatedBatchRequest(requests: [
                RelatedRequest(productID: "b", limit: 1), RelatedRequest(productID: "d"), RelatedRequest(),
            ])
        ).results
        #expect(results.map(\.status?.code) == [0, 5, 3])
        #expect(results[0].response?.items == [RelatedItem(productID: "c", score: 2)])
        #expect(results[1].response == nil)
        #expect(results[1].status?.message.contains("'d'") == true)
    }

    @Test func aBatchHasALimitAndADeadline() throws {
        let shop = try Shop()
        let batch = RelatedBatchRequest(requests: Array(repeating: RelatedRequest(productID: "a"), count: 257))
        let tooMany = #expect(throws: RPCError.self) { try shop.client.relatedBatch(batch) }
        #expect(tooMany?.code == .invalidArgument)
        let large = RelatedBatchRequest(
            requests: Array(repeating: RelatedRequest(productID: "a", limit: 1000), count: 51))
        let tooLarge = #expect(throws: RPCError.self) { try shop.client.relatedBatch(large) }
        #expect(tooLarge?.code == .invalidArgument && tooLarge?.message.contains("51000 items") == true)
        let late = #expect(throws: RPCError.self) {
            try shop.client.related(RelatedRequest(productID: "a"), options: CallOptions(timeout: .zero))
        }
        #expect(late?.code == .deadlineExceeded)
    }

    @Test func aStoreWithoutTheTableAnswersUnavailableUntilItIsPublished() throws {
        let shop = try Shop(versions: 0)
        #expect(shop.refusal(RelatedRequest(productID: "a"))?.code == .unavailable)
        try Shop.publish(to: shop.store)
        #expect(waitFor { (try? shop.ask(RelatedRequest(productID: "a", limit: 1))) == ["b 3.0"] })
    }

    @Test func theServerFollowsTheStoreForthAndBack() throws {
        let shop = try Shop()
        func isServed(_ version: String) -> Bool {
            waitFor { (try? shop.client.related(RelatedRequest(productID: "a")))?.tableVersion == version }
        }
        try Shop.publish(to: shop.store)
        #expect(isServed("2"))
        try shop.store.activate("related", version: 1)
        #expect(isServed("1"))
    }

    @Test func aReplacedVersionIsUnmappedOnceNoLoopServesIt() throws {
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
                waitFor {
                    clients.map { (try? $0.related(RelatedRequest(productID: "a")))?.tableVersion }
                        .allSatisfy { $0 == String(version) }
                })
            #expect(isMapped(version))
            #expect(waitFor { !isMapped(version - 1) })
        }
    }

    @Test func aDamagedVersionIsRefusedAndTheServedOneKept() throws {
        let shop = try Shop()
        try Shop.publish(to: shop.store)
        #expect(waitFor { (try? shop.client.related(RelatedRequest(productID: "a")))?.tableVersion == "2" })
        let path = "\(shop.store.path)/related/1/table.safetensors"
        writeByte(readBytes(path).last! ^ 1, at: readBytes(path).count - 1, of: path)
        writeBytes(Array("1\n".utf8), to: "\(shop.store.path)/related/CURRENT")
        usleep(1_200_000)
        #expect(try shop.client.related(RelatedRequest(productID: "a")).tableVersion == "2")
    }
}

/// Whether `condition` holds within ten seconds.
private func waitFor(_ condition: () -> Bool) -> Bool {
    for _ in 0..<500 {
        if condition() { return true }
        usleep(20_000)
    }
    return false
}
