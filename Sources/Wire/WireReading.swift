/// The next tag; nil where it is cut short, longer than 32 bits, or of field number 0.
@inline(__always)
func readTag(_ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UInt32? {
    guard let tag = readVarint(&cursor, end, longest: 5), tag >= 8 else { return nil }
    return UInt32(exactly: tag)
}

/// The next length, which is known to end within the input; nil where it is broken or does not.
@inline(__always)
func readLength(_ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Int? {
    guard let length = readVarint(&cursor, end, longest: 5), length <= end - cursor else { return nil }
    return Int(length)
}

/// The next varint; nil where it is cut short or longer than so many bytes. Of ten bytes six bits do not count.
@inline(__always)
func readVarint(
    _ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, longest: Int = 10
) -> UInt64? {
    guard cursor < end else { return nil }
    let first = cursor.pointee
    if first < 0x80 {
        cursor += 1
        return UInt64(first)
    }
    guard let (value, next) = readLongVarint(cursor, end, longest: longest) else { return nil }
    cursor = next
    return value
}

/// Takes and returns the position, as one that is passed by reference would be kept in memory all along.
@inline(never)
private func readLongVarint(
    _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, longest: Int
) -> (value: UInt64, next: UnsafePointer<UInt8>)? {
    var value: UInt64 = 0
    for index in 0..<min(longest, end - start) {
        let byte = start[index]
        value |= UInt64(byte & 0x7f) &<< UInt64(7 &* index)
        if byte < 0x80 { return (value, start + index + 1) }
    }
    return nil
}

/// How many fields of one tag follow one another, one at least; `start` is behind the first one's tag.
@inline(__always)
func runLength(_ tag: UInt32, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Int {
    var cursor = start
    var count = 1
    while skipValue(tag, &cursor, end, depth: 0) == nil, readTag(&cursor, end) == tag { count &+= 1 }
    return count
}

/// A tag in its shortest form: its bytes, the first one lowest, and how many there are.
func shortestVarint(_ tag: UInt32) -> (bytes: UInt64, count: Int) {
    var bytes: UInt64 = 0
    var count = 0
    var rest = tag
    while rest >= 0x80 {
        bytes |= UInt64(rest & 0x7f | 0x80) &<< UInt64(8 &* count)
        rest >>= 7
        count &+= 1
    }
    return (bytes | UInt64(rest) &<< UInt64(8 &* count), count &+ 1)
}

@inline(__always)
private func skip(_ count: Int, _ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
    guard count <= end - cursor else { return false }
    cursor += count
    return true
}

/// Goes past a field's value, which may be a group that holds up to `depth` - 1 levels of further ones; `cursor` is
/// behind the field's tag.
///
/// - Returns: why it cannot, nil where it could.
func skipValue(
    _ tag: UInt32, _ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, depth: Int
) -> WireError.Code? {
    switch WireType(rawValue: UInt8(truncatingIfNeeded: tag & 7)) {
    case .varint: return readVarint(&cursor, end) != nil ? nil : .malformed
    case .fixed64: return skip(8, &cursor, end) ? nil : .malformed
    case .fixed32: return skip(4, &cursor, end) ? nil : .malformed
    case .lengthPrefixed:
        guard let length = readLength(&cursor, end) else { return .malformed }
        cursor += length
        return nil
    case .startGroup: return skipGroup(tag >> 3, &cursor, end, depth: depth)
    case .endGroup, nil: return .malformed
    }
}

private func skipGroup(
    _ number: UInt32, _ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, depth: Int
) -> WireError.Code? {
    guard depth > 0 else { return .tooDeep }
    while cursor < end {
        guard let tag = readTag(&cursor, end) else { return .malformed }
        if tag & 7 == WireType.endGroup.rawValue { return tag >> 3 == number ? nil : .malformed }
        if let failure = skipValue(tag, &cursor, end, depth: depth &- 1) { return failure }
    }
    return .malformed
}
