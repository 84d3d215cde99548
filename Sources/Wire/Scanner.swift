/// Checks encoded bytes against a message type before protobuf-c sees them, and adds up the memory that protobuf-c
/// will ask for: one pass, no allocation.
///
/// What protobuf-c 1.4.1 does not check itself, and this does: nesting, UTF-8, the wire type of bool, memory. Bytes
/// accepted here, once rewritten where they need it, are decoded by protobuf-c without a failure and within ``memory``.
struct Scanner {
    private let memoryLimit: Int
    /// Bytes that decoding takes in an arena.
    private(set) var memory = 0
    /// Whether protobuf-c would read the bytes wrongly or not at all, unless they are rewritten (``Rewriter``).
    private(set) var needsRewriting = false
    private var failure: Failure?

    /// protobuf-c holds every field it meets in a record of 32 bytes: 16 on the stack, then in slabs that double.
    private static let recordSize = 32
    private static let recordsOnStack = 16
    /// Every unknown field takes a record as well as its bytes.
    private static let unknownRecordSize = 32
    /// protobuf-c's lengths are ints.
    private static let maxByteCount = Int(Int32.max)

    private struct Failure {
        let code: WireError.Code
        let reason: StaticString
        let message: UnsafePointer<MessageTable>
        let field: UnsafePointer<TableField>?
    }

    private init(memoryLimit: Int) { self.memoryLimit = memoryLimit }

    /// Checks `bytes` as one message of the type.
    @inline(__always)
    static func scan(
        _ bytes: UnsafeRawBufferPointer, as type: MessageDescriptor, limits: DecodeLimits
    ) throws(WireError) -> Scanner {
        var scanner = Scanner(memoryLimit: limits.memory)
        guard bytes.count <= maxByteCount else {
            throw WireError(.tooLarge, "the encoded message is larger than 2 GiB; send less")
        }
        let isValid: Bool
        if let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) {
            isValid = scanner.scan(type.table, start, start + bytes.count, depth: limits.depth)
        } else {
            isValid = scanner.charge(type.table.pointee.baseMemory, type.table)
        }
        guard isValid else { throw scanner.error(limits) }
        return scanner
    }

    /// One message, in `[start, end)`; `depth` is how many more levels there may be within it.
    private mutating func scan(
        _ type: UnsafePointer<MessageTable>, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, depth: Int
    ) -> Bool {
        guard charge(type.pointee.baseMemory, type) else { return false }
        var cursor = start
        var fieldCount = 0
        var seen: UInt64 = 0
        while cursor < end {
            guard let tag = readTag(&cursor, end), let wireType = WireType(rawValue: UInt8(truncatingIfNeeded: tag & 7))
            else { return fail(.malformed, "has a broken field tag", type) }
            fieldCount &+= 1
            guard let field = type.field(tag >> 3) else {
                guard let next = skipUnknown(tag, cursor, end, type, depth: depth) else { return false }
                cursor = next
                continue
            }
            guard wireType == field.pointee.wireType else {
                if wireType == .lengthPrefixed, field.pointee.isPackable {
                    guard let next = scanPacked(field, cursor, end, type) else { return false }
                    cursor = next
                } else {
                    // As other protobuf libraries have it: a field of another type is one that the schema does not name.
                    needsRewriting = true
                    guard let next = skipUnknown(tag, cursor, end, type, depth: depth) else { return false }
                    cursor = next
                }
                continue
            }
            switch wireType {
            case .varint:
                guard scanVarint(field, &cursor, end) else {
                    return fail(.malformed, "is a broken varint", type, field)
                }
            case .fixed64, .fixed32:
                guard skip(wireType == .fixed64 ? 8 : 4, &cursor, end) else {
                    return fail(.malformed, "is cut short", type, field)
                }
            default:
                guard scanDelimited(field, &cursor, end, type, &seen, depth: depth) else { return false }
            }
            memory &+= Int(field.pointee.elementSize)
        }
        return charge(Self.recordMemory(fieldCount), type)
    }

    /// A string, bytes or a message; `cursor` is at its length. `seen` has the singular messages met so far.
    @inline(__always)
    private mutating func scanDelimited(
        _ field: UnsafePointer<TableField>, _ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        _ type: UnsafePointer<MessageTable>, _ seen: inout UInt64, depth: Int
    ) -> Bool {
        guard let length = readLength(&cursor, end) else {
            return fail(.malformed, "is cut short or has a broken length", type, field)
        }
        let value = cursor
        cursor += length
        guard let inner = field.pointee.message else {
            memory &+= roundedToArena(length)
            return !field.pointee.isUTF8 || isValidUTF8(value, cursor)
                || fail(.invalidUTF8, "is not valid UTF-8", type, field)
        }
        guard depth > 0 else { return fail(.tooDeep, "is nested too deep", type, field) }
        needsRewriting = needsRewriting || seen & field.pointee.mergeBit != 0
        seen |= field.pointee.mergeBit
        return scan(inner, value, cursor, depth: depth &- 1)
    }

    /// A run of packed values from its length on; returns what follows it, nil where it failed.
    private mutating func scanPacked(
        _ field: UnsafePointer<TableField>, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        _ type: UnsafePointer<MessageTable>
    ) -> UnsafePointer<UInt8>? {
        var cursor = start
        guard let length = readLength(&cursor, end) else {
            _ = fail(.malformed, "is cut short or has a broken length", type, field)
            return nil
        }
        let runEnd = cursor + length
        switch field.pointee.wireType {
        case .fixed32, .fixed64:
            guard length % Int(field.pointee.elementSize) == 0 else {
                _ = fail(.malformed, "is packed, but its length is no multiple of its element's", type, field)
                return nil
            }
            memory &+= length
        default:
            var count = 0
            while cursor < runEnd {
                guard scanVarint(field, &cursor, runEnd) else {
                    _ = fail(.malformed, "is a broken varint", type, field)
                    return nil
                }
                count &+= 1
            }
            // For bools protobuf-c makes room for one a byte, whatever they are.
            memory &+= (field.pointee.isBool ? length : count) &* Int(field.pointee.elementSize)
        }
        return runEnd
    }

    @inline(__always)
    private mutating func scanVarint(
        _ field: UnsafePointer<TableField>, _ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> Bool {
        let start = cursor
        guard skipVarint(&cursor, end) else { return false }
        // Ten bytes have six bits that do not count, but protobuf-c counts them in a bool.
        if field.pointee.isBool, cursor - start == 10 { needsRewriting = true }
        return true
    }

    /// A field that the type does not have, from behind its tag; returns what follows it, nil where it failed.
    private mutating func skipUnknown(
        _ tag: UInt32, _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>,
        _ type: UnsafePointer<MessageTable>, depth: Int
    ) -> UnsafePointer<UInt8>? {
        var cursor = start
        if let failure = skipValue(tag, &cursor, end, depth: depth) {
            _ =
                failure == .tooDeep
                ? fail(.tooDeep, "has an unknown group that is nested too deep", type)
                : fail(.malformed, "has an unknown field that is broken or cut short", type)
            return nil
        }
        if tag & 7 == WireType.startGroup.rawValue { needsRewriting = true }
        memory &+= Self.unknownRecordSize &+ roundedToArena(cursor - start) &+ Arena.alignment
        return cursor
    }

    /// What the records of `fieldCount` fields take beyond those on the stack.
    private static func recordMemory(_ fieldCount: Int) -> Int {
        var memory = 0
        var slab = recordsOnStack
        var capacity = recordsOnStack
        while capacity < fieldCount {
            slab &*= 2
            capacity &+= slab
            memory &+= slab &* recordSize
        }
        return memory
    }

    @inline(__always)
    private mutating func charge(_ byteCount: Int, _ type: UnsafePointer<MessageTable>) -> Bool {
        memory &+= byteCount
        return memory <= memoryLimit || fail(.tooLarge, "takes too much memory when decoded", type)
    }

    @inline(never)
    private mutating func fail(
        _ code: WireError.Code, _ reason: StaticString, _ message: UnsafePointer<MessageTable>,
        _ field: UnsafePointer<TableField>? = nil
    ) -> Bool {
        failure = Failure(code: code, reason: reason, message: message, field: field)
        return false
    }

    private func error(_ limits: DecodeLimits) -> WireError {
        guard let failure else { return WireError(.malformed, "the message could not be decoded") }
        var place = String(cString: failure.message.pointee.name)
        if let field = failure.field { place += "." + String(cString: field.pointee.name) }
        let limit =
            switch failure.code {
            case .tooDeep: " (limit: \(limits.depth) levels)"
            case .tooLarge: " (limit: \(limits.memory) bytes)"
            default: ""
            }
        return WireError(failure.code, "\(place) \(failure.reason)\(limit)")
    }
}

// MARK: - Reading the wire

/// The next tag; nil where it is cut short, longer than 32 bits, or of field number 0.
@inline(__always)
func readTag(_ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UInt32? {
    let first = cursor.pointee
    if first < 0x80 {
        cursor += 1
        return first >= 8 ? UInt32(first) : nil
    }
    guard let (tag, next) = readVarint32(cursor, end), tag >= 8 else { return nil }
    cursor = next
    return tag
}

/// The next length, which is known to end within the input; nil where it is broken or does not.
@inline(__always)
func readLength(_ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Int? {
    guard cursor < end else { return nil }
    var length = Int(cursor.pointee)
    if length < 0x80 {
        cursor += 1
    } else {
        guard let (long, next) = readVarint32(cursor, end) else { return nil }
        length = Int(long)
        cursor = next
    }
    return length <= end - cursor ? length : nil
}

/// A varint of at most five bytes and 32 bits, as tags and lengths are, and what follows it.
///
/// Takes and returns the position, as one that is passed by reference would be kept in memory all along.
@inline(never)
private func readVarint32(
    _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
) -> (value: UInt32, next: UnsafePointer<UInt8>)? {
    var value: UInt64 = 0
    for index in 0..<min(5, end - start) {
        let byte = start[index]
        value |= UInt64(byte & 0x7f) << UInt64(7 &* index)
        if byte < 0x80 { return UInt32(exactly: value).map { ($0, start + index + 1) } }
    }
    return nil
}

/// Goes past a varint of at most ten bytes.
@inline(__always)
func skipVarint(_ cursor: inout UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
    let last = min(10, end - cursor)
    var index = 0
    while index < last {
        if cursor[index] < 0x80 {
            cursor += index &+ 1
            return true
        }
        index &+= 1
    }
    return false
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
    case .varint: return skipVarint(&cursor, end) ? nil : .malformed
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
