// Feeds arbitrary bytes to a whole gRPC connection: HTTP/2 session, call state machine, methods of every kind. Nothing may
// crash, and when the connection is closed nothing may be left open, running or charged.

internal import CLibFuzzer
internal import Glibc
internal import FletchHTTP2
internal import InteropSchema
public import FletchRPC
public import TestSupport
internal import FletchWire

/// How an input is played, from its first byte.
private struct Play {
    /// Whether the preface and SETTINGS go ahead of the input, so that it need not find them.
    let hasHandshake: Bool
    /// Bytes of one read, 0 for all at once: the same bytes in pieces must do no harm either.
    let chunk: Int
    /// Whether the peer reads, or lets everything queue up.
    let isRead: Bool
    /// Whether time passes between reads, so that requests expire.
    let expires: Bool
    /// Whether handlers that are tasks go on after each read, or only when all was read.
    let runsTasks: Bool
    /// Whether the peer takes one small buffer at a time, so that frames that have begun wait for room.
    let readsLittle: Bool

    init(_ byte: UInt8) {
        hasHandshake = byte & 1 == 0
        isRead = byte & 2 == 0
        expires = byte & 4 != 0
        chunk = [0, 1, 7, 64][Int(byte >> 3) & 3]
        runsTasks = byte & 32 == 0
        readsLittle = byte & 64 != 0
    }
}

private let handshake =
    Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0] + [0, 0, 0, 4, 1, 0, 0, 0, 0]

/// Small limits, so that the fuzzer reaches them.
private func connectionLimits() -> Limits {
    var limits = Limits()
    limits.maxConcurrentStreams = 8
    limits.maxHeaderListBytes = 1024
    limits.noProgressFrameBurst = 20
    limits.ownResetBurst = 5
    limits.peerResetBurst = 5
    return limits
}

private func callLimits() -> CallLimits {
    var limits = CallLimits()
    limits.maxRequestBytes = 4096
    limits.maxBytesInFlight = 64 << 10
    limits.maxQueuedResponseBytes = 256
    limits.requestTimeout = 1000
    return limits
}

extension ManualExecutor: CallExecutor {}

/// Answers are compressed as soon as the caller takes it.
private func compression() -> CompressionSettings {
    var settings = CompressionSettings()
    settings.minResponseBytes = 0
    return settings
}

private final class Clock {
    var now: UInt64 = 1
}

private func methods() -> [Method] {
    [
        Method(path: "/test.Echo/Echo") { call throws(RPCError) in
            if let name = call.metadata["x-in"] { try call.addInitialMetadata("x-out", name) }
            _ = call.metadata.binaryValues("x-in-bin")
            let memory = call.arena.allocate(byteCount: call.request.count + UnaryCallStorage.prefixByteCount)!
            let body = UnsafeMutableRawBufferPointer(
                start: memory + UnaryCallStorage.prefixByteCount, count: call.request.count)
            body.copyMemory(from: call.request)
            call.respond(encoded: body)
        },
        Method(path: path("EmptyCall"), unary: { (request: Empty, _) in request }),
        Method(
            path: path("StreamingOutputCall"),
            serverStreaming: { (request: StreamingOutputCallRequest, responses, _) in
                try await answer(request, responses)
            }),
        Method(
            path: path("StreamingInputCall"),
            clientStreaming: { (requests: RequestStream<StreamingInputCallRequest>, call) in
                var sum = 0
                for try await request in requests { sum += request.payload?.body.count ?? 0 }
                try call.addTrailingMetadata("x-sum-bin", bytes: [UInt8(truncatingIfNeeded: sum)])
                return StreamingInputCallResponse(aggregatedPayloadSize: Int32(clamping: sum))
            }),
        Method(
            path: path("FullDuplexCall"),
            bidirectional: { (requests: RequestStream<StreamingOutputCallRequest>, responses, _) in
                for try await request in requests { try await answer(request, responses) }
            }),
        Method(path: "/later") { call throws(RPCError) in
            call.respondLater { call in
                await Task.yield()
                let request = try call.decode(SimpleRequest.View.self, limits: DecodeLimits())
                let response = SimpleResponse.Builder(in: try call.arena())
                response.makePayload().type = request.responseType
                try call.respond(response)
            }
        },
        Method(path: "/a", maxRequestBytes: 4) { _ throws(RPCError) in throw RPCError(.aborted, "\u{1F600}%") },
    ]
}

private func path(_ method: String) -> String { "/grpc.testing.TestService/\(method)" }

/// Answers as often as asked, with what the fuzzer has patience for.
private func answer(
    _ request: StreamingOutputCallRequest, _ responses: ResponseWriter<StreamingOutputCallResponse>
) async throws {
    if let status = request.responseStatus, let code = StatusCode(rawValue: UInt8(truncatingIfNeeded: status.code)) {
        throw RPCError(code, status.message)
    }
    for parameters in request.responseParameters.prefix(64) {
        let body = [UInt8](repeating: 0, count: Int(parameters.size & 0x3FF))
        try await responses.write(
            StreamingOutputCallResponse(payload: Payload(body: body)), compressed: parameters.compressed?.value)
    }
}

private func drain(_ connection: ServerConnection, _ output: OutputBuffer) {
    while true {
        output.clear()
        guard let isComplete = try? connection.fill(output), !isComplete else { return }
    }
}

private func fuzzHTTP2(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let play = Play(start.pointee)
    let clock = Clock()
    let executor = ManualExecutor()
    let dispatcher = Dispatcher(
        methods: methods(), limits: callLimits(), connectionLimits: connectionLimits(),
        compression: compression(), executor: executor, clock: { clock.now })
    guard let connection = try? ServerConnection(dispatcher: dispatcher, peer: Peer(address: "unix:")) else { return 0 }
    defer { connection.close() }
    if play.hasHandshake { _ = handshake.withUnsafeBytes { try? connection.receive($0) } }
    let little = OutputBuffer(capacity: 34 << 10)
    var rest = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    while !rest.isEmpty, !connection.http2.isFinished {
        let size = play.chunk == 0 ? rest.count : min(play.chunk, rest.count)
        guard (try? connection.receive(UnsafeRawBufferPointer(rebasing: rest[..<size]))) != nil else { break }
        rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        if play.runsTasks { executor.runAll() }
        if play.isRead, !play.readsLittle { drain(connection, dispatcher.output) }
        if play.readsLittle {
            little.clear()
            _ = try? connection.fill(little)
        }
        if play.expires, connection.nextExpiry != nil {
            clock.now += 500
            connection.expireCalls()
        }
    }
    executor.runAll()
    drain(connection, dispatcher.output)
    connection.close()
    executor.runAll()
    precondition(dispatcher.runningHandlers == 0, "a handler outlives its connection")
    precondition(dispatcher.bytesInFlight == 0, "a closed connection still holds bytes of the budget")
    precondition(connection.nextExpiry == nil, "a closed connection still waits for a request")
    return 0
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzHTTP2))
