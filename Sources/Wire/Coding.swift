internal import CProtobufC

/// Decodes `bytes` into `arena` as a message of the type: the C struct's address.
///
/// - Throws: `malformed`, `invalidUTF8`, `tooDeep`, or `tooLarge` beyond the limits or the arena's own.
@usableFromInline
func decode(
    _ bytes: UnsafeRawBufferPointer, as type: MessageDescriptor, in arena: Arena, limits: DecodeLimits
) throws(WireError) -> UnsafeRawPointer {
    try Decoder.decode(bytes, as: type, in: arena, limits: limits)
}

/// The bytes that a message takes when encoded.
@usableFromInline
func encodedSize(_ message: UnsafeRawPointer) -> Int {
    protobuf_c_message_get_packed_size(message.assumingMemoryBound(to: ProtobufCMessage.self))
}

/// Encodes a message of the type into the end of `room`, which has an address; nil where it does not fit.
func encode(
    _ message: UnsafeRawPointer, as type: MessageDescriptor, into room: UnsafeMutableRawBufferPointer
) -> UnsafeMutableRawBufferPointer? {
    guard let base = room.baseAddress else { return nil }
    let end = base + room.count
    guard let start = Encoder(start: base).put(message, type.table, before: end) else { return nil }
    return UnsafeMutableRawBufferPointer(start: start, count: end - start)
}

extension Arena {
    /// A message with every field at its default.
    @inlinable
    func makeMessage(_ type: MessageDescriptor) -> UnsafeMutableRawPointer {
        let message = makeZeroed(byteCount: type.size)
        message.storeBytes(of: type.handle, as: UnsafeRawPointer.self)
        return message
    }

    /// Bytes as ``require(byteCount:)`` gives them, all of them zero.
    @inlinable
    func makeZeroed(byteCount: Int) -> UnsafeMutableRawPointer {
        let bytes = require(byteCount: byteCount)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        return bytes
    }

    /// Encodes a message of the type behind `headroom` bytes that are left unwritten; nil where the byte limit would
    /// be passed.
    @usableFromInline
    func encode(
        _ message: UnsafeRawPointer, as type: MessageDescriptor, headroom: Int
    ) -> UnsafeMutableRawBufferPointer? {
        // Nearly every message fits what is left of the block, and need not be measured.
        let start = state.pointee.next
        let room = state.pointee.available - headroom
        if room > 0,
            let bytes = FletchWire.encode(
                message, as: type, into: UnsafeMutableRawBufferPointer(start: start + headroom, count: room))
        {
            // Everything from the headroom on is taken.
            state.pointee.available = (bytes.baseAddress! - headroom - start) & ~(Self.alignment - 1)
            return bytes
        }
        let size = encodedSize(message)
        guard let memory = allocate(byteCount: headroom + size) else { return nil }
        return FletchWire.encode(
            message, as: type, into: UnsafeMutableRawBufferPointer(start: memory + headroom, count: size))
    }
    /// Encodes a message of the type into an array of its own.
    @usableFromInline
    func encoded(_ message: UnsafeRawPointer, as type: MessageDescriptor) -> [UInt8] {
        [UInt8](UnsafeRawBufferPointer(encode(message, as: type, headroom: 0)!))
    }
}
