import FletchEventLoop
import Glibc
import Logging
import FletchRPC
import ScriptedPeer
import FletchServer
import FletchTLS
import TLSPeer
import Testing
import FletchWire

func echoMethods() -> [Method] {
    [
        Method(path: "/test.Echo/Echo") { call throws(RPCError) in
            guard let memory = call.arena.allocate(byteCount: call.request.count + UnaryCallStorage.prefixByteCount)
            else { throw RPCError(.resourceExhausted, "too large") }
            let body = UnsafeMutableRawBufferPointer(
                start: memory + UnaryCallStorage.prefixByteCount, count: call.request.count)
            body.copyMemory(from: call.request)
            call.respond(encoded: body)
        }
    ]
}

/// A server on a free port that ends with the test.
final class Running {
    let server: Server
    /// Where it listens, and the first of them.
    let addresses: [ListenAddress]
    var address: ListenAddress { addresses[0] }
    private let isEncrypted: Bool

    /// - Parameter tls: The files of the first listener; nil: it takes plaintext.
    init(
        _ address: String = "127.0.0.1:0", tls: TLSFiles? = nil,
        _ configure: (inout ServerConfiguration) -> Void = { _ in },
        methods: @escaping @Sendable () -> [Method] = { echoMethods() }
    ) throws {
        let store = try tls.map { try TLSContextStore($0, logger: quiet) }
        isEncrypted = store != nil
        var configuration = ServerConfiguration(listeners: [Listener(try ListenAddress(address), tls: store)])
        configuration.handlesSignals = false
        configuration.drainTimeout = .seconds(5)
        configure(&configuration)
        server = Server(configuration, logger: quiet) { _ in methods() }
        addresses = try server.start()
    }

    deinit {
        server.shutDown()
        server.wait()
    }

    func connect(receiveBuffer: Int32? = nil) -> SocketPeer {
        let peer = SocketPeer(address, receiveBuffer: receiveBuffer, tls: isEncrypted ? client() : nil)
        peer.send(handshake())
        return peer
    }
}

/// A logger that says nothing.
let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

/// The files of a TLS listener.
func serverFiles(clientAuthorities: String? = nil) -> TLSFiles {
    let certificates = TestCertificates.shared
    var files = TLSFiles(certificateChain: certificates.certificate("server"), privateKey: certificates.key("server"))
    files.clientAuthorities = clientAuthorities.map(certificates.certificate)
    return files
}

/// A TLS client that trusts the server of `serverFiles`.
func client(_ change: (inout TLSClient.Options) -> Void = { _ in }) -> TLSClient {
    var options = TLSClient.Options(authority: TestCertificates.shared.certificate("ca"))
    change(&options)
    return TLSClient(options)
}

/// Waits up to ten seconds.
func eventually(_ condition: () -> Bool, location: SourceLocation = #_sourceLocation) {
    for _ in 0..<200 {
        if condition() { return }
        usleep(50_000)
    }
    Issue.record("did not happen within ten seconds", sourceLocation: location)
}

/// Numbers from several threads.
final class SharedList: Sendable {
    private let state = Locked<(values: [Int], isFinished: Bool)>(([], false))

    var values: [Int] { state.withLock { $0.values } }
    func append(_ value: Int) { state.withLock { $0.values.append(value) } }
    func finish() { state.withLock { $0.isFinished = true } }

    func waitForAll() -> [Int] {
        eventually { state.withLock { $0.isFinished } }
        return values
    }
}
