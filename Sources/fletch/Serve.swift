internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import Logging
internal import Server
internal import Services
internal import StandardServices
internal import Tables

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer gRPC calls from the tables of a store.",
        discussion: """
            Serves fletch.v1.RelatedProducts, health and reflection over HTTP/2 without TLS, and follows the store: a
            version that is published or activated is checked and taken up within a second, or at SIGHUP.

            SIGTERM and SIGINT drain: no accepted call is lost. SIGUSR1 logs the counts of calls. The first line on the
            standard output says where the server listens; the log goes to the standard error output.
            """)

    @Option(help: ArgumentHelp("Store of versioned tables.", valueName: "dir"))
    var store: String

    @Option(help: ArgumentHelp("Numeric address and port; port 0 takes a free one.", valueName: "host:port"))
    var listen = "127.0.0.1:50051"

    @Option(help: "Name of the table of related products.")
    var table = "related"

    @Option(help: "Event loops, each a thread; one for each core where not given.")
    var loops: Int?

    @Option(help: "Seconds that calls under way have to end after SIGTERM.")
    var drainTimeout = 30

    @Flag(
        inversion: .prefixedNo,
        help: ArgumentHelp(
            "Tell clients the schemas of the services (gRPC reflection).",
            discussion: "They are public, and grpcurl and Postman then need no .proto files."))
    var reflection = true

    @Flag(
        help: ArgumentHelp(
            "Tell clients of the server's counts and connections (gRPC channelz).",
            discussion: "Every caller then sees the addresses of all others: for servers that only operators reach."))
    var channelz = false

    private var standardServices: StandardServices {
        var services: StandardServices = .health
        if reflection { services.insert(.reflection) }
        if channelz { services.insert(.channelz) }
        return services
    }

    func validate() throws {
        guard (1...1024).contains(loops ?? 1) else { throw ValidationError("--loops must be between 1 and 1024") }
        guard (0...86_400).contains(drainTimeout) else {
            throw ValidationError("--drain-timeout must be between 0 and 86400 seconds")
        }
    }

    func run() throws {
        var configuration = ServerConfiguration(address: try ListenAddress(listen, flag: "--listen"))
        configuration.loopCount = loops ?? ProcessInfo.processInfo.activeProcessorCount
        configuration.drainTimeout = .seconds(drainTimeout)
        let logger = Logger(label: "fletch", factory: { StreamLogHandler.standardError(label: $0) })
        let serving = try RelatedProductsServing(
            store: Store(path: store), name: table, loopCount: configuration.loopCount, logger: logger)
        let server = Server(configuration, logger: logger) { serving.methods(loop: $0) }
        // Before the first call can ask for health, and a SIGHUP end the process.
        serving.follow(with: server)
        server.add(standardServices)
        let address = try server.start()
        do {
            try say("listening on \(address)")
        } catch {
            // A process must not exit beside running loops: libuv ends its own state at exit, under their feet.
            server.shutDown()
            server.wait()
            throw error
        }
        guard server.wait() == 0 else { throw ExitCode(1) }
    }
}
