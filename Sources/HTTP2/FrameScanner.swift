/// Finds the frames in a connection's inbound bytes, in whatever pieces these arrive, without reading payloads.
struct FrameScanner {
    /// What stands before every payload (RFC 9113, 4.1).
    struct Header {
        static let byteCount = 9

        let length: Int
        let type: UInt8
        let flags: UInt8
        let stream: Int32

        fileprivate init(_ bytes: UnsafeRawPointer) {
            let word = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
            length = Int(word &>> 40)
            type = UInt8(truncatingIfNeeded: word &>> 32)
            flags = UInt8(truncatingIfNeeded: word &>> 24)
            let number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt32.self))
            stream = Int32(truncatingIfNeeded: number & 0x7FFF_FFFF)
        }
    }

    /// Bytes until the next header begins.
    private var payloadLeft: Int
    /// The beginning of a header whose end has not arrived.
    private var split = InlineArray<9, UInt8>(repeating: 0)
    private var splitCount = 0

    /// - Parameter preface: Whether the client's preface comes before the first frame.
    init(preface: Bool = true) { payloadLeft = preface ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8.count : 0 }

    /// Whether the bytes so far end at the end of a frame.
    var isBetweenFrames: Bool { payloadLeft == 0 && splitCount == 0 }

    /// The next header that is complete within `bytes` from `offset` on; `offset` moves behind it, or to the end where
    /// there is none.
    mutating func next(in bytes: UnsafeRawBufferPointer, at offset: inout Int) -> Header? {
        let skipped = min(payloadLeft, bytes.count &- offset)
        payloadLeft &-= skipped
        offset &+= skipped
        guard splitCount == 0, bytes.count &- offset >= Header.byteCount else { return gather(bytes, &offset) }
        let header = Header(bytes.baseAddress! + offset)
        offset &+= Header.byteCount
        payloadLeft = header.length
        return header
    }

    @inline(never)
    private mutating func gather(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> Header? {
        while offset < bytes.count {
            split[splitCount] = bytes[offset]
            splitCount &+= 1
            offset &+= 1
            guard splitCount == Header.byteCount else { continue }
            let header = withUnsafeBytes(of: split) { Header($0.baseAddress!) }
            splitCount = 0
            payloadLeft = header.length
            return header
        }
        return nil
    }
}
