// Feeds arbitrary bytes to a whole gRPC connection: HTTP/2 session, call state machine, an echoing method. Nothing may
// crash, and when the connection is closed nothing may be left open or charged.

internal import CLibFuzzer
internal import Glibc
internal import HTTP2
public import RPC
public import TestSupport
internal import Wire

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

    init(_ byte: UInt8) {
        hasHandshake = byte & 1 == 0
        isRead = byte & 2 == 0
        expires = byte & 4 != 0
        chunk = [0, 1, 7, 64][Int(byte >> 3) & 3]
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
    limits.maxBytesInFlight = 16 << 10
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
        Method(path: "/a", maxRequestBytes: 4) { _ throws(RPCError) in throw RPCError(.aborted, "\u{1F600}%") },
    ]
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
    var rest = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    while !rest.isEmpty, !connection.http2.isFinished {
        let size = play.chunk == 0 ? rest.count : min(play.chunk, rest.count)
        guard (try? connection.receive(UnsafeRawBufferPointer(rebasing: rest[..<size]))) != nil else { break }
        rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        if play.isRead { drain(connection, dispatcher.output) }
        if play.expires, connection.nextExpiry != nil {
            clock.now += 500
            connection.expireCalls()
        }
    }
    drain(connection, dispatcher.output)
    connection.close()
    precondition(dispatcher.bytesInFlight == 0, "a closed connection still holds bytes of the budget")
    precondition(connection.nextExpiry == nil, "a closed connection still waits for a request")
    return 0
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzHTTP2))
