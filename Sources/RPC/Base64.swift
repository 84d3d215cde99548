/// Base64 (RFC 4648, 4) as gRPC's binary metadata uses it: padded or not when read, not padded when written.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static func value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    /// The digits without their padding; nil where the padding or a digit is wrong.
    private static func digits(_ text: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer>? {
        var digits = text
        while digits.last == UInt8(ascii: "=") { digits = digits.dropLast() }
        let padding = text.count - digits.count
        guard padding == 0 || (padding <= 2 && text.count % 4 == 0), digits.count % 4 != 1 else { return nil }
        for byte in digits where value(byte) == nil { return nil }
        return digits
    }

    package static func isValid(_ text: Slice<UnsafeRawBufferPointer>) -> Bool { digits(text) != nil }

    package static func decode(_ text: Slice<UnsafeRawBufferPointer>) -> [UInt8]? {
        guard let digits = digits(text) else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(digits.count * 3 / 4)
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in digits {
            bits = bits << 6 | UInt32(value(byte)!)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return result
    }

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count * 4 + 2) / 3)
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                result.append(alphabet[Int(bits >> UInt32(bitCount)) & 63])
            }
        }
        if bitCount > 0 { result.append(alphabet[Int(bits << UInt32(6 - bitCount)) & 63]) }
        return String(decoding: result, as: UTF8.self)
    }
}

/// Whether a value of `-bin` metadata is base64; several values may be joined by commas.
func isValidBinaryMetadata(_ value: UnsafeRawBufferPointer) -> Bool {
    var rest = value[...]
    while let comma = rest.firstIndex(of: UInt8(ascii: ",")) {
        guard Base64.isValid(trimmed(rest[..<comma])) else { return false }
        rest = rest[(comma + 1)...]
    }
    return Base64.isValid(trimmed(rest))
}

/// Without the spaces that a proxy may put around joined values.
func trimmed(_ text: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
    var text = text
    while text.first == UInt8(ascii: " ") { text = text.dropFirst() }
    while text.last == UInt8(ascii: " ") { text = text.dropLast() }
    return text
}
