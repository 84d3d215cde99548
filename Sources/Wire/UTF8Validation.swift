/// Whether the bytes are UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, nothing above U+10FFFF.
@inline(__always)
func isValidUTF8(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
    isASCII(start, end) || isValidMultibyte(start, end)
}

/// Most text is ASCII. Words are read eight or four bytes at a time, the last one overlapping the one before it.
@inline(__always)
private func isASCII(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
    let bytes = UnsafeRawPointer(start)
    let count = end - start
    if count >= 8 {
        var bits = bytes.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        var offset = 0
        while offset &+ 8 < count {
            bits |= bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            offset &+= 8
        }
        return bits & 0x8080_8080_8080_8080 == 0
    }
    if count >= 4 {
        let bits =
            bytes.loadUnaligned(as: UInt32.self)
            | bytes.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
        return bits & 0x8080_8080 == 0
    }
    // One to three bytes: the first, the middle, the last.
    return count == 0 || (start[0] | start[count / 2] | start[count &- 1]) < 0x80
}

@inline(never)
private func isValidMultibyte(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
    var cursor = start
    while cursor < end {
        if end - cursor >= 8, hasOnlyASCII(cursor) {
            cursor += 8
        } else if cursor.pointee < 0x80 {
            cursor += 1
        } else {
            let length = multibyteLength(cursor, end)
            guard length > 0 else { return false }
            cursor += length
        }
    }
    return true
}

@inline(__always)
private func hasOnlyASCII(_ eightBytes: UnsafePointer<UInt8>) -> Bool {
    UnsafeRawPointer(eightBytes).loadUnaligned(as: UInt64.self) & 0x8080_8080_8080_8080 == 0
}

/// The length of the character of two bytes or more at `cursor`; 0 where there is none (RFC 3629, section 4).
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
