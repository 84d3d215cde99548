// Decodes arbitrary bytes as several messages. What decodes must be what a plain parser takes for fields, fit the memory
// that the scanner added up, and encode as protobuf-c encodes it, and the encoding must decode to the same.

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
    switch start.pointee % 13 {
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
    case 11: check(QImports.self, bytes)
    default: checkUnknown(bytes)
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
    precondition(isWellFormed(Array(bytes)), "what is no message was decoded")
    checkMemory(type, bytes)
    let encoded = view.encoded()
    precondition(encoded.count == view.encodedSize, "a message has another size than it said")
    precondition(encoded == encodedByProtobufC(view), "a message is encoded otherwise than by protobuf-c")
    let again = M(view).encoded()
    // The encoding may differ (unknown fields move, maps are sorted), but encoding once more changes nothing.
    precondition((try? M(decoding: again))?.encoded() == again, "a value does not survive encoding")
    precondition((try? M(decoding: encoded))?.encoded() == again, "a view does not survive encoding")
}

/// To a message without fields all are unknown: whatever is well-formed is kept as it is.
private func checkUnknown(_ bytes: UnsafeRawBufferPointer) {
    check(QEmpty.self, bytes)
    do throws(WireError) {
        let message = try QEmpty(decoding: bytes, limits: limits)
        // Tags that were longer than they must be are not after a while.
        let kept = message.unknownFields.bytes
        precondition(kept.count <= bytes.count && isWellFormed(kept), "unknown fields were changed")
    } catch {
        precondition(error.code != .malformed || !isWellFormed(Array(bytes)), "a message was refused")
    }
}

/// Decodes once more with not a byte more than the scanner said it takes.
private func checkMemory<M: Message>(_ type: M.Type, _ bytes: UnsafeRawBufferPointer) {
    let tooSmall = Arena(capacity: 16, limit: 0)
    defer { tooSmall.destroy() }
    do throws(WireError) {
        _ = try M.View(decoding: bytes, in: tooSmall, limits: limits)
        preconditionFailure("a message takes no memory")
    } catch {
        let byteCount = error.message.split(separator: " ").lazy.compactMap { Int($0) }.first!
        let arena = Arena(capacity: 16, limit: byteCount)
        defer { arena.destroy() }
        precondition((try? M.View(decoding: bytes, in: arena, limits: limits)) != nil, "a message takes more memory")
    }
}

/// Whether the bytes are a sequence of fields; slow, by the book
/// (https://protobuf.dev/programming-guides/encoding/).
private func isWellFormed(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    var openGroups: [UInt64] = []
    while !rest.isEmpty {
        guard let tag = varint(&rest, longest: 5), tag >> 3 > 0, tag <= UInt32.max else { return false }
        switch tag & 7 {
        case 0: guard varint(&rest, longest: 10) != nil else { return false }
        case 1: guard drop(8, &rest) else { return false }
        case 2: guard let length = varint(&rest, longest: 5), drop(length, &rest) else { return false }
        case 3: openGroups.append(tag >> 3)
        case 4: guard openGroups.popLast() == tag >> 3 else { return false }
        case 5: guard drop(4, &rest) else { return false }
        default: return false
        }
    }
    return openGroups.isEmpty
}

private func varint(_ bytes: inout ArraySlice<UInt8>, longest: Int) -> UInt64? {
    guard let last = bytes.prefix(longest).firstIndex(where: { $0 < 0x80 }) else { return nil }
    defer { bytes = bytes[(last + 1)...] }
    return bytes[...last].reversed().reduce(0) { $0 << 7 | UInt64($1 & 0x7f) }
}

private func drop(_ count: UInt64, _ bytes: inout ArraySlice<UInt8>) -> Bool {
    guard count <= bytes.count else { return false }
    bytes = bytes.dropFirst(Int(count))
    return true
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
