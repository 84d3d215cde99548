internal import ArgumentParser
internal import FletchEventLoop
internal import Foundation
internal import Logging
internal import FletchRPC
internal import FletchServer
internal import Services
internal import FletchStandardServices
internal import FletchTLS
internal import Tables

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer gRPC calls from the tables of a store.",
        discussion: """
            Serves fletch.v1.RelatedProducts, health and reflection over HTTP/2, and follows the store: a version that is
            published or activated is checked and taken up within a second, or at SIGHUP.

            It listens without TLS on every --listen and with TLS on every --listen-tls; addresses are numeric with a
            port (127.0.0.1:50051, [::1]:50051, port 0 takes a free one) or Unix domain sockets (unix:/run/fletch.sock).
            New certificate files are taken up within seconds, or at SIGHUP, for connections that begin then.

            SIGTERM and SIGINT drain: health says NOT_SERVING, peers are told, and no accepted call is lost; a second one
            ends at once. SIGUSR1 logs the counts of calls. Once the server listens, a line on the standard output for
            each address says so; the log goes to the standard error output.
            """)

    @Option(help: ArgumentHelp("Store of versioned tables.", valueName: "dir"))
    var store: String

    @Option(
        help: ArgumentHelp(
            "Address to listen on without TLS; may be repeated. 127.0.0.1:50051 where no address is given.",
            valueName: "address"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("Address to listen on with TLS; may be repeated.", valueName: "address"))
    var listenTLS: [String] = []

    @OptionGroup(title: "TLS")
    var tls: TLSArguments

    @Option(help: "Name of the table of related products.")
    var table = "related"

    @Option(help: "Event loops, each a thread; one for each core where not given.")
    var loops: Int?

    @Option(
        help: ArgumentHelp(
            "Compress responses from a size on, 1024 bytes where not given, for callers that take it.",
            valueName: "gzip|deflate|zstd[,...][:bytes]"))
    var compress: String?

    @OptionGroup
    var life: ConnectionLifeArguments

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

    @Flag(help: "Answer GET and POST of / that are no gRPC calls with a short text, for testers of HTTP/2.")
    var plainEndpoint = false

    private var standardServices: StandardServices {
        var services: StandardServices = .health
        if reflection { services.insert(.reflection) }
        if channelz { services.insert(.channelz) }
        return services
    }

    @Option(
        help: ArgumentHelp(
            "Share of the approximate answers that are given again exactly, beside the calls, to measure their recall; 0 for "
                + "none. --metrics shows it, and a warning is logged where it falls clearly below what the table states.",
            valueName: "share"))
    var recallAudit = 0.001

    @OptionGroup(title: "Limits")
    var limits: LimitArguments

    @OptionGroup(title: "Calls")
    var calls: CallArguments

    func validate() throws {
        try tls.validate(isUsed: !listenTLS.isEmpty)
        guard (1...1024).contains(loops ?? 1) else { throw ValidationError("--loops must be between 1 and 1024") }
        guard (0...1).contains(recallAudit) else { throw ValidationError("--recall-audit must be from 0 to 1") }
    }

    func run() throws {
        let logger = Logger(label: "fletch", factory: { StreamLogHandler.standardError(label: $0) })
        let certificates = try tls.files.map { try TLSContextStore($0, logger: logger) }
        var configuration = ServerConfiguration(listeners: try listeners(certificates))
        configuration.loopCount = loops ?? ProcessInfo.processInfo.activeProcessorCount
        configuration.callLimits = try calls.limits(loops: configuration.loopCount)
        configuration.plainEndpoint = plainEndpoint
        limits.apply(to: &configuration)
        if let compress { configuration.compression = try CompressionSettings(compress, flag: "--compress") }
        life.apply(to: &configuration)
        let serving = try RelatedProductsServing(
            store: Store(path: store), name: table, loopCount: configuration.loopCount, recallAudit: recallAudit,
            logger: logger)
        let interceptors = try calls.interceptors(logger: logger) { serving.metrics(loop: $0) }
        let server = Server(configuration, logger: logger, interceptors: interceptors) { serving.methods(loop: $0) }
        // Before the first call can ask for health, and a SIGHUP end the process.
        serving.follow(with: server)
        server.add(standardServices)
        certificates?.follow()
        let addresses = try server.start()
        do {
            for (listener, address) in zip(configuration.listeners, addresses) {
                try say("listening on \(address)\(listener.tls == nil ? "" : " with TLS")")
            }
        } catch {
            // A process must not exit beside running loops: libuv ends its own state at exit, under their feet.
            server.shutDown()
            server.wait()
            throw error
        }
        guard server.wait() == 0 else { throw ExitCode(1) }
    }

    private func listeners(_ certificates: TLSContextStore?) throws -> [Listener] {
        let plain = listen.isEmpty && listenTLS.isEmpty ? ["127.0.0.1:50051"] : listen
        return try plain.map { Listener(try ListenAddress($0, flag: "--listen")) }
            + listenTLS.map { Listener(try ListenAddress($0, flag: "--listen-tls"), tls: certificates) }
    }
}
