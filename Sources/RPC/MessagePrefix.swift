/// What stands before every message on the wire: a flag that says whether it is compressed, and its length.
enum MessagePrefix {
    static var byteCount: Int { UnaryCallStorage.prefixByteCount }

    /// The length that a complete prefix announces.
    ///
    /// - Parameter isEncoded: Whether the request names an encoding, so that messages may be compressed.
    static func messageLength(
        _ prefix: UnsafeRawBufferPointer, limit: Int, isEncoded: Bool
    ) throws(Rejection) -> Int {
        switch prefix.load(as: UInt8.self) {
        case 0: break
        case 1: guard isEncoded else { throw .compressedWithoutEncoding }
        default: throw .invalidPrefix
        }
        let length = UInt32(bigEndian: prefix.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        guard Int(length) <= limit else { throw .messageTooLarge(bytes: length, limit: limit) }
        return Int(length)
    }

    /// Whether a message is compressed, as the prefix in front of it says.
    static func isCompressed(_ message: UnsafeRawBufferPointer) -> Bool {
        (message.baseAddress! - byteCount).load(as: UInt8.self) == 1
    }

    /// Writes the prefix of `message` into the gap in front of it; nil where the message is longer than a prefix says.
    static func write(
        before message: UnsafeMutableRawBufferPointer, isCompressed: Bool = false
    ) -> UnsafeRawBufferPointer? {
        guard let start = message.baseAddress, message.count <= UInt32.max else { return nil }
        let prefix = start - byteCount
        prefix.storeBytes(of: isCompressed ? 1 : 0, as: UInt8.self)
        prefix.storeBytes(of: UInt32(truncatingIfNeeded: message.count).bigEndian, toByteOffset: 1, as: UInt32.self)
        return UnsafeRawBufferPointer(start: prefix, count: byteCount &+ message.count)
    }
}
