import FletchHTTP2
public import FletchRPC
import ScriptedPeer
public import TestSupport
import FletchWire

extension ManualExecutor: CallExecutor {}

/// A gRPC connection without sockets, over methods that answer in every way, with a clock that the test turns.
final class Harness {
    final class Clock {
        var now: UInt64 = 1_000_000_000
        /// How long what arrives has waited for the loop.
        var turnLag: UInt64 = 0
    }

    let clock: Clock
    let executor = ManualExecutor()
    let dispatcher: Dispatcher
    let connection: ServerConnection
    let reader = PeerReader()
    var error: HTTP2Error?

    init(
        limits: CallLimits = CallLimits(), connectionLimits: Limits = Limits(),
        compression: CompressionSettings = CompressionSettings(), interceptors: [Interceptor] = [],
        plainEndpoint: Bool = false, clock: Clock = Clock(), methods: [Method]? = nil
    ) {
        self.clock = clock
        dispatcher = Dispatcher(
            methods: methods ?? testMethods { clock.now += $0 }, interceptors: interceptors, limits: limits,
            connectionLimits: connectionLimits, compression: compression, plainEndpoint: plainEndpoint,
            executor: executor, clock: { clock.now },
            turnStart: { clock.now - clock.turnLag })
        connection = try! ServerConnection(dispatcher: dispatcher, peer: Peer(address: "unix:"))
        send(handshake())
    }

    /// A second connection of the same loop.
    init(sharing other: Harness) {
        clock = other.clock
        dispatcher = other.dispatcher
        connection = try! ServerConnection(dispatcher: dispatcher, peer: Peer(address: "unix:"))
        send(handshake())
    }

    deinit {
        connection.close()
        // Handlers that still wait hear of it, and let go of the connection.
        while executor.hasJobs { executor.runAll() }
    }

    func send(_ bytes: [UInt8]) {
        receive(bytes)
        runTasks()
    }

    /// Hands bytes in; handlers that are tasks have no turn yet.
    func receive(_ bytes: [UInt8]) {
        do { try bytes.withUnsafeBytes { try connection.receive($0) } } catch { self.error = error as? HTTP2Error }
    }

    /// Lets handlers that are tasks go on, and sends what came of it.
    func runTasks() {
        read()
        while executor.hasJobs {
            executor.runAll()
            read()
        }
    }

    func read() {
        while true {
            dispatcher.output.clear()
            guard let isComplete = try? connection.fill(dispatcher.output) else { return }
            reader.read(dispatcher.output.bytes)
            if isComplete { return }
        }
    }

    func response(_ stream: UInt32 = 1) -> PeerReader.Response { reader.responses[stream] ?? PeerReader.Response() }
}

/// The methods of `test.Echo`; `advance` lets the handler of `Slow` take that many nanoseconds.
func testMethods(advance: @escaping (UInt64) -> Void) -> [Method] {
    [
        Method(path: "/test.Echo/Echo") { call throws(RPCError) in echo(call) },
        Method(path: "/test.Echo/Small", maxRequestBytes: 10) { call throws(RPCError) in echo(call) },
        Method(path: "/test.Echo/Fail") { _ throws(RPCError) in
            throw RPCError(.notFound, "100% no such Größe\n")
        },
        Method(path: "/test.Echo/FailWithOK") { _ throws(RPCError) in throw RPCError(.ok, "not at all") },
        Method(path: "/test.Echo/Silent") { _ throws(RPCError) in },
        Method(path: "/test.Echo/Slow") { call throws(RPCError) in
            advance(2_000_000_000)
            echo(call)
        },
        Method(path: "/test.Echo/Metadata") { call throws(RPCError) in
            try call.addInitialMetadata("x-first", call.metadata["x-in"] ?? "none")
            try call.addTrailingMetadata("x-last-bin", bytes: call.metadata.binaryValues("x-in-bin").flatMap { $0 })
            echo(call)
        },
        Method(path: "/test.Echo/BadMetadata") { call throws(RPCError) in
            try call.addTrailingMetadata("grpc-status", "0")
        },
        Method(path: "/test.Echo/ConnectionMetadata") { call throws(RPCError) in
            try call.addInitialMetadata("transfer-encoding", "chunked")
            echo(call)
        },
    ]
}

/// Answers with the request.
func echo(_ call: UnaryCall) {
    let memory = call.arena.allocate(byteCount: call.request.count + UnaryCallStorage.prefixByteCount)!
    let body = UnsafeMutableRawBufferPointer(
        start: memory + UnaryCallStorage.prefixByteCount, count: call.request.count)
    body.copyMemory(from: call.request)
    call.respond(encoded: body)
}
