// A server whose answer is always the same ten items: what a call costs in the server itself, without a table.
//
//     canned-server [LISTEN [LOOPS]]

internal import EventLoop
internal import Glibc
internal import Logging
internal import RPC
internal import Server
internal import Wire

/// The encoded answer: ten items with an id of ten characters and a score, as `fletch.v1.RelatedResponse`.
private func cannedResponse() -> [UInt8] {
    var response: [UInt8] = []
    for number in 0..<10 {
        let id = Array("B\(100_000_000 + number)".utf8)
        let score = (1 - 0.05 * Float(number)).bitPattern
        response += [0x0A, UInt8(id.count + 7), 0x0A, UInt8(id.count)] + id
        response += [0x15] + (0..<4).map { UInt8(truncatingIfNeeded: score >> (8 * $0)) }
    }
    return response
}

private func cannedMethod() -> UnaryMethod {
    let canned = cannedResponse()
    return UnaryMethod(path: "/fletch.v1.RelatedProducts/Related") { call throws(RPCError) in
        guard let memory = call.arena.allocate(byteCount: canned.count + 5) else {
            throw RPCError(.resourceExhausted, "no memory for the response")
        }
        let message = UnsafeMutableRawBufferPointer(start: memory + 5, count: canned.count)
        message.copyBytes(from: canned)
        call.respond(message)
    }
}

let logger = Logger(label: "canned-server")
do {
    let arguments = CommandLine.arguments.dropFirst()
    var configuration = ServerConfiguration(
        address: try ListenAddress(arguments.first ?? "127.0.0.1:50051", flag: "LISTEN"))
    configuration.loopCount = arguments.dropFirst().first.flatMap { Int($0) } ?? 1
    let server = Server(configuration, logger: logger) { _ in [cannedMethod()] }
    _ = try server.start()
    exit(server.wait() == 0 ? 0 : 1)
} catch {
    logger.critical("\(error)")
    exit(1)
}
