/// Frames as a client sends them, built byte by byte, so that a test may also send what no client would.
public enum FrameType: UInt8, Sendable {
    case data = 0, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
}

/// Flags of the frames used here (RFC 9113, 6).
public enum Flag {
    public static let endStream: UInt8 = 0x1
    public static let acknowledgement: UInt8 = 0x1
    public static let endHeaders: UInt8 = 0x4
    public static let padded: UInt8 = 0x8
}

public let clientPreface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

public func bigEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }

/// One frame; `type` may be a number that HTTP/2 does not know.
public func frame(_ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    Array(bigEndian(UInt32(payload.count)).dropFirst()) + [type, flags] + bigEndian(stream) + payload
}

public func frame(_ type: FrameType, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    frame(type.rawValue, flags: flags, stream: stream, payload)
}

/// The preface, SETTINGS with `entries`, and the acknowledgement of the server's.
public func handshake(_ entries: [(UInt16, UInt32)] = []) -> [UInt8] {
    let payload = entries.flatMap { [UInt8($0.0 >> 8), UInt8(truncatingIfNeeded: $0.0)] + bigEndian($0.1) }
    return clientPreface + frame(.settings, payload) + frame(.settings, flags: Flag.acknowledgement)
}

/// A header list in HPACK: every field literal, not indexed, not Huffman-coded.
public func headerBlock(_ fields: [(String, String)]) -> [UInt8] {
    fields.flatMap { [0x00] + hpackString(Array($0.0.utf8)) + hpackString(Array($0.1.utf8)) }
}

/// A string in HPACK, not Huffman-coded (RFC 7541, 5.2).
public func hpackString(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
    var length: [UInt8] = [127]
    var rest = bytes.count - 127
    while rest >= 128 {
        length.append(UInt8(rest & 127) | 128)
        rest >>= 7
    }
    return length + [UInt8(rest)] + bytes
}

/// The fields of an ordinary gRPC request, with `replacing` in place of or beside the usual ones; nil leaves one out.
public func requestFields(_ path: String, replacing changes: [(String, String?)] = []) -> [(String, String)] {
    var fields: [(String, String)] = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ]
    for (name, value) in changes {
        let index = fields.firstIndex { $0.0 == name }
        if let index, let value { fields[index].1 = value } else if let index { fields.remove(at: index) }
        if index == nil, let value { fields.append((name, value)) }
    }
    return fields
}

/// A header list, continued in CONTINUATION frames where it is larger than a frame may be.
public func headersFrame(stream: UInt32, _ fields: [(String, String)], end: Bool = false) -> [UInt8] {
    var rest = headerBlock(fields)[...]
    var type = FrameType.headers
    var frames: [UInt8] = []
    repeat {
        let part = rest.prefix(16_384)
        rest = rest.dropFirst(16_384)
        let flags = (rest.isEmpty ? Flag.endHeaders : 0) | (end && type == .headers ? Flag.endStream : 0)
        frames += frame(type, flags: flags, stream: stream, Array(part))
        type = .continuation
    } while !rest.isEmpty
    return frames
}

/// A message with gRPC's prefix.
public func framed(_ message: [UInt8], flag: UInt8 = 0, length: UInt32? = nil) -> [UInt8] {
    [flag] + bigEndian(length ?? UInt32(message.count)) + message
}

public func dataFrame(stream: UInt32, _ bytes: [UInt8], end: Bool = true) -> [UInt8] {
    frame(.data, flags: end ? Flag.endStream : 0, stream: stream, bytes)
}

/// A whole unary call.
public func unaryCall(
    stream: UInt32, _ path: String, _ message: [UInt8] = [], replacing changes: [(String, String?)] = []
) -> [UInt8] {
    headersFrame(stream: stream, requestFields(path, replacing: changes)) + dataFrame(stream: stream, framed(message))
}
