import HTTP2
import RPC
import ScriptedPeer
import Wire

/// A gRPC connection without sockets, over methods that answer in every way, with a clock that the test turns.
final class Harness {
    final class Clock {
        var now: UInt64 = 1_000_000_000
    }

    let clock = Clock()
    let dispatcher: Dispatcher
    let connection: ServerConnection
    let reader = PeerReader()
    var error: HTTP2Error?

    init(limits: CallLimits = CallLimits(), connectionLimits: Limits = Limits()) {
        let clock = clock
        dispatcher = Dispatcher(
            methods: testMethods { clock.now += $0 }, limits: limits, connectionLimits: connectionLimits,
            clock: { clock.now })
        connection = try! ServerConnection(dispatcher: dispatcher, peer: Peer(address: "unix:"))
        send(handshake())
    }

    deinit { connection.close() }

    func send(_ bytes: [UInt8]) {
        do { try bytes.withUnsafeBytes { try connection.receive($0) } } catch { self.error = error as? HTTP2Error }
        read()
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
func testMethods(advance: @escaping (UInt64) -> Void) -> [UnaryMethod] {
    [
        UnaryMethod(path: "/test.Echo/Echo") { call throws(RPCError) in echo(call) },
        UnaryMethod(path: "/test.Echo/Small", maxRequestBytes: 10) { call throws(RPCError) in echo(call) },
        UnaryMethod(path: "/test.Echo/Fail") { _ throws(RPCError) in
            throw RPCError(.notFound, "100% no such Größe\n")
        },
        UnaryMethod(path: "/test.Echo/FailWithOK") { _ throws(RPCError) in throw RPCError(.ok, "not at all") },
        UnaryMethod(path: "/test.Echo/Silent") { _ throws(RPCError) in },
        UnaryMethod(path: "/test.Echo/Slow") { call throws(RPCError) in
            advance(2_000_000_000)
            echo(call)
        },
        UnaryMethod(path: "/test.Echo/Metadata") { call throws(RPCError) in
            try call.addInitialMetadata("x-first", call.metadata["x-in"] ?? "none")
            try call.addTrailingMetadata("x-last-bin", bytes: call.metadata.binaryValues("x-in-bin").flatMap { $0 })
            echo(call)
        },
        UnaryMethod(path: "/test.Echo/BadMetadata") { call throws(RPCError) in
            try call.addTrailingMetadata("grpc-status", "0")
        },
    ]
}

private func echo(_ call: UnaryCall) {
    let memory = call.arena.allocate(byteCount: call.request.count + UnaryCallStorage.prefixByteCount)!
    let body = UnsafeMutableRawBufferPointer(
        start: memory + UnaryCallStorage.prefixByteCount, count: call.request.count)
    body.copyMemory(from: call.request)
    call.respond(encoded: body)
}
