// Decodes arbitrary bytes as several messages. What decodes must be what a plain parser takes for fields, take no more
// memory than the limit says, and encode as protobuf-c encodes it, and the encoding must decode to the same.
// Where protobuf-c can be trusted with the bytes it must decode the same.

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
        return
    }
    precondition(isWellFormed(Array(bytes)), "what is no message was decoded")
    let encoded = view.encoded()
    checkMemory(type, bytes, encoded)
    precondition(encoded.count == view.encodedSize, "a message has another size than it said")
    let message = view._pointer.assumingMemoryBound(to: ProtobufCMessage.self)
    precondition(encoded == packed(message), "a message is encoded otherwise than by protobuf-c")
    if type == QScalars.self || type == QRepeated.self { checkAgainstProtobufC(view, bytes, encoded) }
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

/// Decodes once more into memory that has what was decoded before, of which there is no more than the limit says.
private func checkMemory<M: Message>(_ type: M.Type, _ bytes: UnsafeRawBufferPointer, _ encoded: [UInt8]) {
    defer { usedArena.reset() }
    guard let view = try? M.View(decoding: bytes, in: usedArena, limits: limits) else {
        preconditionFailure("a message takes more memory than the limit says")
    }
    precondition(view.encoded() == encoded, "a message depends on what was in memory before")
}

nonisolated(unsafe) private let usedArena = Arena(capacity: limits.memory, limit: 0)

/// protobuf-c reads what nobody's encoder writes otherwise: it takes any wire type for a bool, looks at bits of varints
/// that do not count, and merges less. Without any of these it must read the same.
private func checkAgainstProtobufC<View: MessageView>(
    _ view: View, _ bytes: UnsafeRawBufferPointer, _ encoded: [UInt8]
) {
    let message = view._pointer.assumingMemoryBound(to: ProtobufCMessage.self)
    guard !hasUnknownFields(message), !hasExcessBits(bytes) else { return }
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    guard let unpacked = protobuf_c_message_unpack(message.pointee.descriptor, nil, bytes.count, start) else { return }
    defer { protobuf_c_message_free_unpacked(unpacked, nil) }
    precondition(packed(unpacked) == encoded, "a message is decoded otherwise than by protobuf-c")
}

/// Whether a message, or one in its repeated fields, has unknown fields.
private func hasUnknownFields(_ message: UnsafePointer<ProtobufCMessage>) -> Bool {
    let descriptor = message.pointee.descriptor.pointee
    let fields = UnsafeBufferPointer(start: descriptor.fields, count: Int(descriptor.n_fields))
    return message.pointee.n_unknown_fields > 0
        || fields.contains { field in
            guard field.type == PROTOBUF_C_TYPE_MESSAGE, field.label == PROTOBUF_C_LABEL_REPEATED else { return false }
            let memory = UnsafeRawPointer(message)
            let elements = memory.load(
                fromByteOffset: Int(field.offset), as: UnsafePointer<UnsafePointer<ProtobufCMessage>>?.self)
            let count = memory.load(fromByteOffset: Int(field.quantifier_offset), as: Int.self)
            return UnsafeBufferPointer(start: elements, count: count).contains { hasUnknownFields($0) }
        }
}

/// Whether there may be a varint of ten bytes with more than 64 bits.
private func hasExcessBits(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var continued = 0
    for byte in bytes {
        if continued >= 9, byte > 1, byte < 0x80 { return true }
        continued = byte < 0x80 ? 0 : continued + 1
    }
    return false
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

/// The encoding by protobuf-c.
private func packed(_ message: UnsafePointer<ProtobufCMessage>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: protobuf_c_message_get_packed_size(message)) { buffer, count in
        count = buffer.baseAddress.map { protobuf_c_message_pack(message, $0) } ?? 0
    }
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzWire))
