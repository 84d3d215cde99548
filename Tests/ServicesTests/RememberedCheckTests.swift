import FletchEventLoop
import FletchSchema
import FletchServer
import FletchServiceSchema
import Glibc
import Logging
import Retrieval
import TestSupport
import Testing

@testable import Services
@testable import Tables

/// A version that serves on the word of an earlier check.
@Suite struct RememberedCheckTests {
    private let directory = TemporaryDirectory()
    private var store: Store { Store(path: directory.path + "/store") }
    private var version: String { store.path + "/related/1" }

    /// A version whose checks are remembered.
    init() throws {
        mkdir(store.path, 0o755)
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "b", "c"], dimension: 2, source: [1, 0, 0, 1, -1, 0], target: [-1, 0, 3, 0, 0, 2])
        _ = try RelatedTableBuilder(embeddings, listLength: 1).publish(to: store, name: "related", buildID: "test")
        usleep(50_000)
        _ = try RelatedTable(store.open("related"))
    }

    private func serving() throws -> (RelatedProductsServing, Server) {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var configuration = ServerConfiguration(address: try ListenAddress("127.0.0.1:0"))
        configuration.handlesSignals = false
        configuration.loopCount = 1
        let serving = try RelatedProductsServing(store: store, name: "related", loopCount: 1, logger: logger)
        let server = Server(configuration, logger: logger) { serving.methods(loop: $0) }
        serving.follow(with: server)
        _ = try server.start()
        return (serving, server)
    }

    private func health(_ server: Server) async -> HealthStatus? {
        var updates = server.health.watch("table:related").makeAsyncIterator()
        return await updates.next() ?? nil
    }

    @Test func itAnswersAsOneThatWasCheckedJustNow() throws {
        let table = try RelatedTable(store.open("related", trusting: true))
        #expect(!table.table.isChecked)
        let scratch = RelatedScratch()
        #expect(table.related(to: 0, limit: 2, scratch) == .quantizedScan)
        #expect(Array(scratch.results) == [ScoredRow(row: 1, score: 3), ScoredRow(row: 2, score: 0)])
    }

    @Test func itGoesOnToServe() async throws {
        let (serving, server) = try serving()
        try await Task.sleep(for: .milliseconds(300))
        #expect(await health(server) == .serving)
        server.shutDown()
        server.wait()
        withExtendedLifetime(serving) {}
    }

    @Test func itIsTakenAwayWhereTheDiskLostIt() async throws {
        // The bytes change, and what is remembered says that they did not.
        let path = version + "/table.safetensors"
        chmod(path, 0o644)
        writeByte(readBytes(path).last! ^ 1, at: readBytes(path).count - 1, of: path)
        let place = try Directory(path: version)
        var remembered = try #require(lastVerification())
        usleep(50_000)
        for (index, file) in remembered.files.enumerated() {
            guard let opened = try place.fileIfPresent(file.name) else { continue }
            remembered.files[index] = try FileIdentity(opened, name: file.name)
        }
        remembered.write(in: place)

        let (serving, server) = try serving()
        for _ in 0..<500 {
            if await health(server) == .notServing { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(await health(server) == .notServing)
        server.shutDown()
        server.wait()
        withExtendedLifetime(serving) {}
    }

    /// What is remembered, believed or not.
    private func lastVerification() -> Verification? {
        Verification(text: String(decoding: readBytes(version + "/" + Verification.name), as: UTF8.self))
    }
}
