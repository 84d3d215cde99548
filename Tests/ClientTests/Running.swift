import FletchClient
import FletchEventLoop
import FletchRPC
import FletchRichErrors
import FletchSchema
import FletchServer
import FletchTLS
import Logging
import Quirks

/// A server in the process, with a channel to it.
final class Running: Sendable {
    let server: Server
    let channel: Channel
    let address: String
    let written = Locked(0)
    let gate = Locked(false)
    fileprivate let started = Locked(0)
    fileprivate let cancelled = Locked(0)
    fileprivate let listing = Locked(0)
    private let box = Box()

    var client: QCallsClient { QCallsClient(channel) }

    init(listen: String = "127.0.0.1:0", tls: TLSFiles? = nil, compress: Bool = false) throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let store = try tls.map { try TLSContextStore($0, logger: logger) }
        var configuration = ServerConfiguration(listeners: [Listener(try ListenAddress(listen), tls: store)])
        configuration.handlesSignals = false
        configuration.loopCount = 2
        configuration.drainTimeout = .seconds(5)
        if compress { configuration.compression.minResponseBytes = 1000 }
        server = Server(configuration, logger: logger) { [box] _ in QCalls.methods(Handler(running: box)) }
        address = "\(try server.start()[0])"
        channel = try Channel(to: address)
        box.running.withLock { $0 = self }
    }

    func stopServer() {
        server.shutDown()
        server.wait()
        box.running.withLock { $0 = nil }
    }

    func end() async {
        await channel.close()
        stopServer()
    }

    func waitUntilStarted(calls count: Int = 1) async { await wait { started.withLock { $0 } >= count } }

    func waitUntilNothingIsListed() async { await wait { listing.withLock { $0 } == 0 } }

    func waitUntilCancelled() async { await wait { cancelled.withLock { $0 } > 0 } }

    /// Waits for what must happen; tests have a time limit of their own.
    private func wait(until condition: () -> Bool) async {
        while !condition() { try? await Task.sleep(for: .milliseconds(2)) }
    }
}

private final class Box: Sendable {
    let running = Locked<Running?>(nil)

    func with(_ body: (Running) -> Void) { if let running = running.withLock({ $0 }) { body(running) } }
}

private struct Handler: QCallsAsyncService {
    let running: Box

    func get(_ request: QNames, _ call: AsyncCall) async throws -> QScalars {
        running.with { $0.started.withLock { $0 += 1 } }
        if request.productID == "slow" { try await Task.sleep(for: .milliseconds(300)) }
        if let value = call.metadata["x-echo"] { try call.addTrailingMetadata("x-echo", value) }
        for value in call.metadata.binaryValues("x-echo-bin") {
            try call.addTrailingMetadata("x-echo-bin", bytes: value)
        }
        guard !request.productID.isEmpty else {
            throw RPCError(
                .invalidArgument, "product_id is empty: ☺%",
                details: [ErrorDetail(ErrorInfo(reason: "EMPTY", domain: "test"))])
        }
        return QScalars(aString: request.productID)
    }

    func list(_ request: QNames, _ responses: ResponseWriter<QScalars>, _ call: AsyncCall) async throws {
        running.with { $0.started.withLock { $0 += 1 } }
        running.with { $0.listing.withLock { $0 += 1 } }
        defer { running.with { $0.listing.withLock { $0 -= 1 } } }
        do {
            switch request.productID {
            case "wait": try await Task.sleep(for: .seconds(600))
            case "many": while true { try await responses.write(QScalars(aString: "m")) }
            case "flood":
                for _ in 0..<400 {
                    try await responses.write(QScalars(aString: String(repeating: "x", count: 10_000)))
                    running.with { $0.written.withLock { $0 += 1 } }
                }
            default: for letter in request.productID { try await responses.write(QScalars(aString: String(letter))) }
            }
        } catch {
            running.with { $0.cancelled.withLock { $0 += 1 } }
            throw error
        }
    }

    func record(_ requests: RequestStream<QScalars>, _ call: AsyncCall) async throws -> QNames {
        running.with { $0.started.withLock { $0 += 1 } }
        if call.metadata["x-wait"] != nil { await waitForGate() }
        var names = QNames()
        for try await request in requests { names.productID += request.aString }
        return names
    }

    private func waitForGate() async {
        var isOpen = false
        while !isOpen {
            try? await Task.sleep(for: .milliseconds(5))
            running.with { isOpen = $0.gate.withLock { $0 } }
        }
    }

    func chat(
        _ requests: RequestStream<QScalars>, _ responses: ResponseWriter<QScalars>, _ call: AsyncCall
    ) async throws {
        for try await request in requests { try await responses.write(request) }
    }
}
