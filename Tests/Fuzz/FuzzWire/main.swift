// Decodes arbitrary bytes as several messages. What decodes must encode as protobuf-c encodes it, and the encoding must
// decode to the same.

internal import CLibFuzzer
internal import CProtobufC
internal import Glibc
internal import Quirks
internal import FletchSchema
internal import FletchWire

/// One input of libFuzzer: a byte that chooses the message type, then the message.
private func fuzzWire(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let bytes = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    switch start.pointee % 12 {
    case 0: check(RelatedRequest.self, bytes)
    case 1: check(RelatedBatchResponse.self, bytes)
    case 2: check(Manifest.self, bytes)
    case 3: check(QScalars.self, bytes)
    case 4: check(QOptionals.self, bytes)
    case 5: check(QRepeated.self, bytes)
    case 6: check(QChoice.self, bytes)
    case 7: check(QMaps.self, bytes)
    case 8: check(QNode.self, bytes)
    case 9: check(QPing.self, bytes)
    case 10: check(QNumbers.self, bytes)
    default: check(QImports.self, bytes)
    }
    return 0
}

/// Small, so that the fuzzer finds the edges.
private let limits = DecodeLimits(depth: 10, memory: 1 << 20)

private func check<M: Message>(_ type: M.Type, _ bytes: UnsafeRawBufferPointer) {
    let arena = Arena(capacity: 256)
    defer { arena.destroy() }
    let view: M.View
    do throws(WireError) {
        view = try M.View(decoding: bytes, in: arena, limits: limits)
    } catch {
        precondition(error.message != "protobuf-c could not decode the message", "the scanner accepted bad bytes")
        return
    }
    let encoded = view.encoded()
    precondition(encoded.count == view.encodedSize, "a message has another size than it said")
    precondition(encoded == encodedByProtobufC(view), "a message is encoded otherwise than by protobuf-c")
    let again = M(view).encoded()
    // The encoding may differ (unknown fields move, maps are sorted), but encoding once more changes nothing.
    precondition((try? M(decoding: again))?.encoded() == again, "a value does not survive encoding")
    precondition((try? M(decoding: encoded))?.encoded() == again, "a view does not survive encoding")
}

private func encodedByProtobufC<View: MessageView>(_ view: View) -> [UInt8] {
    let message = view._pointer.assumingMemoryBound(to: ProtobufCMessage.self)
    return [UInt8](unsafeUninitializedCapacity: protobuf_c_message_get_packed_size(message)) { buffer, count in
        count = buffer.baseAddress.map { protobuf_c_message_pack(message, $0) } ?? 0
    }
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzWire))
