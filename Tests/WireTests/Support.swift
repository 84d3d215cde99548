import CProtobufC
import Quirks
import Testing
import FletchWire

/// The bytes of a string of hexadecimal digits.
func hex(_ digits: String) -> [UInt8] {
    let digits = digits.filter { $0 != " " }.map { UInt8($0.hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// A length-prefixed field as it is on the wire, for numbers below 16 and any length.
func field(_ number: UInt8, _ payload: [UInt8]) -> [UInt8] {
    [number << 3 | 2] + varint(payload.count) + payload
}

func varint(_ value: Int) -> [UInt8] {
    value < 128 ? [UInt8(value)] : [UInt8(value & 127) | 128] + varint(value >> 7)
}

/// Decodes both ways, by value and in an arena, and expects the same from either.
func decode<M: Message>(_ type: M.Type, _ bytes: [UInt8], limits: DecodeLimits = DecodeLimits()) throws(WireError) -> M
{
    let value = try M(decoding: bytes, limits: limits)
    // NaN differs from itself, so the encodings are compared.
    withArena { arena in
        bytes.withUnsafeBytes { bytes in
            let view = try? M.View(decoding: bytes, in: arena, limits: limits)
            #expect(view.map { M($0).encoded() } == value.encoded())
            #expect(view.map { $0.encoded() } == view.map { encodedByProtobufC($0) })
        }
    }
    return value
}

/// What protobuf-c makes of the same memory.
func encodedByProtobufC<View: MessageView>(_ view: View) -> [UInt8] {
    let message = view._pointer.assumingMemoryBound(to: ProtobufCMessage.self)
    return [UInt8](unsafeUninitializedCapacity: protobuf_c_message_get_packed_size(message)) { buffer, count in
        count = buffer.baseAddress.map { protobuf_c_message_pack(message, $0) } ?? 0
    }
}

/// The error that decoding ends in.
func decodingError<M: Message>(_ type: M.Type, _ bytes: [UInt8], limits: DecodeLimits = DecodeLimits()) -> WireError? {
    do throws(WireError) {
        _ = try M(decoding: bytes, limits: limits)
        return nil
    } catch {
        return error
    }
}

@discardableResult
func withArena<Result>(limit: Int = 64 << 20, _ body: (Arena) throws -> Result) rethrows -> Result {
    let arena = Arena(capacity: 256, limit: limit)
    defer { arena.destroy() }
    return try body(arena)
}
