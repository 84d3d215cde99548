/// A status message as grpc-message carries it: printable ASCII, all else as %XX of its UTF-8.
package func percentEncoded(_ message: String, limit: Int = maxStatusMessageBytes) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    let bytes = truncated(message, limit: limit)
    var encoded: [UInt8] = []
    encoded.reserveCapacity(bytes.count)
    for byte in bytes {
        if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%") {
            encoded.append(byte)
        } else {
            encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: encoded, as: UTF8.self)
}

/// The UTF-8 of a status message, cut at a character's edge where it has more than `limit` bytes.
func truncated(_ message: String, limit: Int = maxStatusMessageBytes) -> [UInt8] {
    var bytes = Array(message.utf8.prefix(limit + 1))
    guard bytes.count > limit else { return bytes }
    bytes.removeLast()
    // A continuation byte after the cut means that the last character lost its end.
    let utf8 = message.utf8
    var cut = utf8.index(utf8.startIndex, offsetBy: limit)
    while utf8[cut] & 0xC0 == 0x80 {
        bytes.removeLast()
        cut = utf8.index(before: cut)
    }
    return bytes
}

/// Stock clients take header lists of 8 KiB; encoded threefold, this stays well below.
package let maxStatusMessageBytes = 1024

/// grpc-message without its percent encoding; what is no valid escape stays as it is.
package func percentDecoded(_ text: String) -> String {
    let encoded = Array(text.utf8)
    var bytes: [UInt8] = []
    var next = 0
    while next < encoded.count {
        if encoded[next] == UInt8(ascii: "%"), next + 2 < encoded.count,
            let high = hexDigit(encoded[next + 1]), let low = hexDigit(encoded[next + 2])
        {
            bytes.append(high << 4 | low)
            next += 3
        } else {
            bytes.append(encoded[next])
            next += 1
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

private func hexDigit(_ character: UInt8) -> UInt8? {
    Character(UnicodeScalar(character)).hexDigitValue.map(UInt8.init)
}
