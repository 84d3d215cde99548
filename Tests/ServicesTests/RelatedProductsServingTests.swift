import Client
import EventLoop
import Glibc
import LinearAlgebra
import Logging
import RPC
import Retrieval
import Schema
import Server
import ServiceSchema
import Services
import Tables
import TestSupport
import Testing

/// A store, and a server of two loops that follows it.
private final class Running {
    let directory = TemporaryDirectory()
    let store: Store
    let server: Server
    let target: String
    private let serving: RelatedProductsServing

    private static let dimension = 8

    init(published: Int) throws {
        store = Store(path: directory.path + "/store")
        mkdir(store.path, 0o755)
        for _ in 0..<published { try Self.publish(to: store) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var configuration = ServerConfiguration(address: try ListenAddress("127.0.0.1:0"))
        configuration.loopCount = 2
        configuration.handlesSignals = false
        configuration.drainTimeout = .seconds(5)
        let serving = try RelatedProductsServing(store: store, name: "related", loopCount: 2, logger: logger)
        server = Server(configuration, logger: logger) { serving.methods(loop: $0) }
        self.serving = serving
        target = try server.start().description
        serving.follow(with: server)
    }

    deinit {
        server.shutDown()
        server.wait()
    }

    static func publish(to store: Store) throws {
        var generator = SeededGenerator(seed: 3)
        func vectors() -> [Float] { (0..<100 * dimension).map { _ in generator.normal() } }
        let embeddings = try RelatedEmbeddings(
            ids: (0..<100).map { "p\($0)" }, dimension: dimension, source: vectors(), target: vectors())
        _ = try RelatedTableBuilder(embeddings, listLength: 20).publish(to: store, name: "related", buildID: "test")
    }

    func client() throws -> RelatedProductsClient<Channel> { RelatedProductsClient(try Channel(target: target)) }

    /// Whether any thread's memory still shows a file of a version.
    func isMapped(version: Int) -> Bool {
        String(decoding: readBytes("/proc/self/maps"), as: UTF8.self).contains("\(store.path)/related/\(version)/")
    }
}

/// Whether `condition` comes to hold within some seconds.
private func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<200 {
        if try condition() { return true }
        usleep(50_000)
    }
    return false
}

@Suite struct RelatedProductsServingTests {
    private let options = CallOptions(timeout: .seconds(5))

    @Test func takesUpEachVersionOnAllLoopsAndUnmapsTheOneBefore() throws {
        let running = try Running(published: 1)
        // Enough connections that both loops have some.
        let clients = try (0..<8).map { _ in try running.client() }
        for version in 2...3 {
            try Running.publish(to: running.store)
            let isServed = try eventually {
                // No call fails or mixes versions while they change.
                try clients.map { client in
                    let answer = try client.related(RelatedRequest(productID: "p7", limit: 30), options: options)
                    #expect(answer.items.count == 30)
                    return answer.tableVersion == String(version)
                }.allSatisfy { $0 }
            }
            #expect(isServed)
            #expect(running.isMapped(version: version))
            #expect(eventually { !running.isMapped(version: version - 1) })
        }
    }

    @Test func answersUnavailableUntilSomethingIsPublished() throws {
        let running = try Running(published: 0)
        let client = try running.client()
        #expect {
            _ = try client.related(RelatedRequest(productID: "p7"), options: options)
        } throws: {
            ($0 as? RPCError)?.code == .unavailable
        }
        try Running.publish(to: running.store)
        #expect(
            eventually {
                (try? client.related(RelatedRequest(productID: "p7"), options: options))?.items.count == 10
            })
    }
}
