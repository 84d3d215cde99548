/// Whether the bytes are UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, nothing above U+10FFFF.
func isValidUTF8(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
    var cursor = start
    while cursor < end {
        // Most text is ASCII: eight bytes at a time as long as no byte has its high bit set.
        while end - cursor >= 8, UnsafeRawPointer(cursor).loadUnaligned(as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            cursor += 8
        }
        guard cursor < end else { break }
        if cursor.pointee < 0x80 {
            cursor += 1
        } else {
            let length = multibyteLength(cursor, end)
            guard length > 0 else { return false }
            cursor += length
        }
    }
    return true
}

/// The length of the character of two bytes or more at `cursor`; 0 where there is none (RFC 3629, section 4).
@inline(never)
private func multibyteLength(_ cursor: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Int {
    let length: Int
    let second: ClosedRange<UInt8>
    switch cursor.pointee {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return 0
    }
    guard length <= end - cursor, second ~= cursor[1] else { return 0 }
    for index in 2..<max(length, 2) where cursor[index] & 0xC0 != 0x80 { return 0 }
    return length
}
