// A server for gRPC's interoperability tests, run against by stock clients. Beside grpc.testing.TestService it has a
// service of ours that shows what the handlers saw.

internal import ArgumentParser
internal import FletchEventLoop
internal import Glibc
internal import InteropSchema
internal import Logging
internal import FletchRPC
internal import FletchServer
internal import FletchTLS

@main
struct InteropServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fletch-interop-server", abstract: "Answer the calls of gRPC's interoperability tests.")

    @Option(help: "Port on 127.0.0.1; 0 takes a free one.")
    var port: UInt16

    @Option(help: "Event loops, each a thread.")
    var loops = 2

    @Option(
        help: ArgumentHelp("Certificate and its private key, PEM in one file: the port speaks TLS.", valueName: "file"))
    var tls: String?

    @Option(help: ArgumentHelp("Authorities of the certificates that clients must show, PEM.", valueName: "file"))
    var tlsClientCA: String?

    @Flag(help: "Answer GET and POST of / that are no gRPC calls with a short text.")
    var plainEndpoint = false

    @Option(help: "Seconds that the server waits for slow peers, where not as long as it does by itself.")
    var patience: Int?

    @Option(help: "Bytes that all calls may hold, where not as many as by itself.")
    var maxBytesInFlight: Int?

    func run() throws {
        let logger = Logger(label: "interop", factory: { StreamLogHandler.standardError(label: $0) })
        let address = try ListenAddress("127.0.0.1:\(port)", flag: "--port")
        let certificates = try tls.map {
            var files = TLSFiles(certificateChain: $0, privateKey: $0)
            files.clientAuthorities = tlsClientCA
            return try TLSContextStore(files, logger: logger)
        }
        var configuration = ServerConfiguration(listeners: [Listener(address, tls: certificates)])
        configuration.loopCount = loops
        configuration.plainEndpoint = plainEndpoint
        if let maxBytesInFlight { configuration.callLimits.maxBytesInFlight = maxBytesInFlight }
        if let patience { configuration.limitPatience(to: patience) }
        let observer = Observer()
        let gate = Gate()
        let server = Server(configuration, logger: logger) { _ in
            TestService.methods(TestServiceHandler(observer: observer))
                + Probe.methods(ProbeHandler(observer: observer, gate: gate))
        }
        print("listening on \(try server.start()[0])")
        fflush(nil)
        guard server.wait() == 0 else { throw ExitCode(1) }
    }
}

extension ServerConfiguration {
    fileprivate mutating func limitPatience(to seconds: Int) {
        let patience = Duration.seconds(seconds)
        handshakeTimeout = patience
        prefaceTimeout = patience
        headersTimeout = patience
        stallTimeout = patience
        callLimits.requestTimeout = UInt64(seconds) * 1_000_000_000
    }
}
