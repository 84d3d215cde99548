// What stands in header fields: grpc-timeout, base64, percent encoding against plain definitions of theirs, and whole
// header lists through a connection, whose handler reads all metadata. The first byte says which.

internal import CLibFuzzer
internal import Glibc
internal import FletchHTTP2
public import FletchRPC
internal import ScriptedPeer
public import TestSupport

/// grpc-timeout as the gRPC document defines it, in arithmetic that cannot overflow.
private func plainTimeout(_ bytes: [UInt8]) -> UInt64? {
    let units: [UInt8: UInt64] = [
        UInt8(ascii: "n"): 1, UInt8(ascii: "u"): 1_000, UInt8(ascii: "m"): 1_000_000, UInt8(ascii: "S"): 1_000_000_000,
        UInt8(ascii: "M"): 60_000_000_000, UInt8(ascii: "H"): 3_600_000_000_000,
    ]
    let isDigit: (UInt8) -> Bool = { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let last = bytes.last, let unit = units[last] else { return nil }
    let digits = bytes.dropLast()
    guard (1...8).contains(digits.count), digits.allSatisfy(isDigit) else { return nil }
    // Eight digits of hours are less than 2^64 nanoseconds only up to about five million.
    let amount = UInt64(String(decoding: digits, as: UTF8.self))!
    return amount > UInt64.max / unit ? .max : amount * unit
}

private func checkTimeout(_ bytes: UnsafeRawBufferPointer) {
    precondition(parseTimeout(bytes) == plainTimeout(Array(bytes)), "a timeout was read wrongly")
}

private func checkBase64(_ bytes: UnsafeRawBufferPointer) {
    let encoded = Array(Base64.encode(bytes).utf8)
    let padded = encoded + [UInt8](repeating: UInt8(ascii: "="), count: (4 - encoded.count % 4) % 4)
    for text in [encoded, padded] {
        text.withUnsafeBytes {
            precondition(Base64.decode($0[...]) == Array(bytes), "base64 does not give back its bytes")
        }
    }
    precondition((Base64.decode(bytes[...]) != nil) == Base64.isValid(bytes[...]), "base64 is judged in two ways")
}

private func checkPercentEncoding(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    let encoded = percentEncoded(text)
    precondition(encoded.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "grpc-message is not printable ASCII")
    let decoded = percentDecoded(encoded)
    precondition(text.utf8.starts(with: decoded.utf8), "grpc-message says something else")
    precondition(
        decoded.utf8.count == text.utf8.count || text.utf8.count > maxStatusMessageBytes, "grpc-message is cut")
    _ = percentDecoded(text)
}

extension ManualExecutor: CallExecutor {}

/// Fields "name: value" by lines, after those that every request has.
private func checkHeaderFields(_ bytes: UnsafeRawBufferPointer) {
    var fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/a/b")]
        .map { (Array($0.0.utf8), Array($0.1.utf8)) }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
        let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        fields.append((Array(parts[0]), parts.count > 1 ? Array(parts[1]) : []))
    }
    let method = Method(path: "/a/b") { call throws(RPCError) in
        call.metadata.forEach { name, value in precondition(!name.isEmpty && !name.hasPrefix("grpc-")) }
        _ = call.metadata.binaryValues("x-bin")
        throw RPCError(.aborted, call.metadata["x"] ?? "")
    }
    let dispatcher = Dispatcher(methods: [method], executor: ManualExecutor(), clock: { 1 })
    guard let connection = try? ServerConnection(dispatcher: dispatcher, peer: Peer(address: "unix:")) else { return }
    defer { connection.close() }
    var block: [UInt8] = []
    for (name, value) in fields { block += [0x00] + hpackString(name) + hpackString(value) }
    guard block.count <= 16_384 else { return }
    let flags = Flag.endHeaders
    let request = handshake() + frame(.headers, flags: flags, stream: 1, block) + dataFrame(stream: 1, framed([]))
    _ = request.withUnsafeBytes { try? connection.receive($0) }
    let reader = PeerReader()
    while true {
        dispatcher.output.clear()
        guard let isComplete = try? connection.fill(dispatcher.output) else { return }
        reader.read(dispatcher.output.bytes)
        if isComplete { break }
    }
    let response = reader.responses[1]
    precondition(response?.ended == true || response?.resetCode != nil, "a request was not answered")
}

private func fuzzMetadata(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    switch start.pointee {
    case UInt8(ascii: "t"): checkTimeout(bytes)
    case UInt8(ascii: "b"): checkBase64(bytes)
    case UInt8(ascii: "p"): checkPercentEncoding(bytes)
    default: checkHeaderFields(bytes)
    }
    return 0
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzMetadata))
