internal import CProtobufC

/// Decodes messages into an arena as protobuf-c lays them out, in one pass that trusts no byte.
///
/// Every read is checked against the end of its message, text against UTF-8, nesting and memory against the limits.
/// Each byte is read a fixed number of times at most, and memory is charged before it is taken. Beyond what encoders
/// of the same schema write:
///
/// - A singular message that occurs again is merged into what is there
///   (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
/// - A field whose wire type is not that of its schema, and a group, is an unknown field.
///
/// The functions that read take a position and return the one behind what they read, nil where they ``fail``.
struct Decoder {
    typealias Position = UnsafePointer<UInt8>

    private let arena: Arena
    /// Bytes that may still be taken.
    private var memory: Int
    private var failure: Failure?

    private struct Failure {
        let code: WireError.Code
        let reason: StaticString
        let type: UnsafePointer<MessageTable>
        let field: UnsafePointer<TableField>?
    }

    /// Lengths are ints in protobuf-c, and no protobuf library takes longer messages.
    private static let maxByteCount = Int(Int32.max)

    /// Decodes `bytes` as a message of the type: its address.
    @inline(__always)
    static func decode(
        _ bytes: UnsafeRawBufferPointer, as type: MessageDescriptor, in arena: Arena, limits: DecodeLimits
    ) throws(WireError) -> UnsafeRawPointer {
        guard bytes.count <= maxByteCount else {
            throw WireError(.tooLarge, "the encoded message is larger than 2 GiB; send less")
        }
        var decoder = Decoder(arena: arena, memory: max(0, limits.memory))
        guard let message = decoder.makeMessage(type.table) else { throw decoder.error(limits) }
        // No bytes may have no address.
        guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            return UnsafeRawPointer(message)
        }
        guard decoder.read(start, start + bytes.count, into: message, type.table, depth: limits.depth) else {
            throw decoder.error(limits)
        }
        return UnsafeRawPointer(message)
    }

    private init(arena: Arena, memory: Int) {
        self.arena = arena
        self.memory = memory
    }

    /// All fields in `[start, end)`; `depth` is how many more levels there may be within the message.
    @inline(never)
    private mutating func read(
        _ start: Position, _ end: Position, into message: UnsafeMutableRawPointer,
        _ type: UnsafePointer<MessageTable>, depth: Int
    ) -> Bool {
        var cursor = start
        while cursor < end {
            guard let tag = readTag(&cursor, end), let wireType = WireType(rawValue: UInt8(truncatingIfNeeded: tag & 7))
            else { return fail(.malformed, "has a broken field tag", type) != nil }
            let next: Position?
            if let field = type.field(tag >> 3), field.pointee.accepts(wireType) {
                let value = message + Int(field.pointee.offset)
                if wireType != field.pointee.wireType {
                    next = readPacked(field, cursor, end, into: value, type)
                } else if field.pointee.isRepeated {
                    next = readRun(tag, field, cursor, end, into: value, type, depth: depth)
                } else {
                    markPresent(field, in: message)
                    next =
                        field.pointee.form == .message
                        ? readMessage(field, cursor, end, into: value, type, depth: depth)
                        : readValue(field, cursor, end, into: value, type)
                }
            } else {
                next = readUnknown(tag, cursor, end, into: message, type, depth: depth)
            }
            guard let next else { return false }
            cursor = next
        }
        return true
    }

    /// One value that is no message, from behind its tag.
    @inline(__always)
    private mutating func readValue(
        _ field: UnsafePointer<TableField>, _ start: Position, _ end: Position, into value: UnsafeMutableRawPointer,
        _ type: UnsafePointer<MessageTable>
    ) -> Position? {
        var cursor = start
        switch field.pointee.form {
        case .bytes: return readBytes(field, start, end, into: value, type)
        case .fixed32, .fixed64:
            let size = Int(field.pointee.valueSize)
            guard size <= end - start else { return fail(.malformed, "is cut short", type, field) }
            if size == 4 {
                value.storeBytes(of: UnsafeRawPointer(start).loadUnaligned(as: UInt32.self), as: UInt32.self)
            } else {
                value.storeBytes(of: UnsafeRawPointer(start).loadUnaligned(as: UInt64.self), as: UInt64.self)
            }
            return start + size
        default:
            guard let bits = readVarint(&cursor, end) else {
                return fail(.malformed, "is a broken varint", type, field)
            }
            store(bits, field.pointee.form, value)
            return cursor
        }
    }

    /// A string or bytes, from the length on.
    @inline(__always)
    private mutating func readBytes(
        _ field: UnsafePointer<TableField>, _ start: Position, _ end: Position, into value: UnsafeMutableRawPointer,
        _ type: UnsafePointer<MessageTable>
    ) -> Position? {
        var cursor = start
        guard let length = readLength(&cursor, end) else { return failLength(type, field) }
        let valueEnd = cursor + length
        guard !field.pointee.isUTF8 || isValidUTF8(cursor, valueEnd) else {
            return fail(.invalidUTF8, "is not valid UTF-8", type, field)
        }
        guard length > 0 else {
            value.storeBytes(of: WireBytes(), as: WireBytes.self)
            return valueEnd
        }
        guard let copy = allocate(length) else { return failMemory(type, field) }
        copyBytes(cursor, length, to: copy)
        value.storeBytes(of: WireBytes(start: copy, count: length), as: WireBytes.self)
        return valueEnd
    }

    /// A message, from the length on: into the one that is there, or into a new one.
    @inline(__always)
    private mutating func readMessage(
        _ field: UnsafePointer<TableField>, _ start: Position, _ end: Position, into value: UnsafeMutableRawPointer,
        _ type: UnsafePointer<MessageTable>, depth: Int
    ) -> Position? {
        var cursor = start
        guard let length = readLength(&cursor, end) else { return failLength(type, field) }
        guard depth > 0 else { return fail(.tooDeep, "is nested too deep", type, field) }
        let inner = field.pointee.message!
        guard let message = value.load(as: UnsafeMutableRawPointer?.self) ?? makeMessage(inner) else { return nil }
        value.storeBytes(of: message, as: UnsafeMutableRawPointer.self)
        let valueEnd = cursor + length
        return read(cursor, valueEnd, into: message, inner, depth: depth &- 1) ? valueEnd : nil
    }

    /// The values of a repeated field that follow one another, each with its tag, from behind the first one's.
    @inline(never)
    private mutating func readRun(
        _ tag: UInt32, _ field: UnsafePointer<TableField>, _ start: Position, _ end: Position,
        into array: UnsafeMutableRawPointer, _ type: UnsafePointer<MessageTable>, depth: Int
    ) -> Position? {
        let stride = Int(field.pointee.valueSize)
        var remaining = runLength(tag, start, end)
        guard var element = extend(array, by: remaining, stride: stride) else { return failMemory(type, field) }
        var cursor = start
        while true {
            let next: Position?
            if field.pointee.form == .message {
                element.storeBytes(of: nil, as: UnsafeRawPointer?.self)
                next = readMessage(field, cursor, end, into: element, type, depth: depth)
            } else {
                next = readValue(field, cursor, end, into: element, type)
            }
            guard let next else { return nil }
            cursor = next
            element += stride
            remaining &-= 1
            // The count has seen the tag.
            guard remaining > 0, readTag(&cursor, end) != nil else { return cursor }
        }
    }

    /// A run of packed values, from its length on.
    @inline(never)
    private mutating func readPacked(
        _ field: UnsafePointer<TableField>, _ start: Position, _ end: Position,
        into array: UnsafeMutableRawPointer, _ type: UnsafePointer<MessageTable>
    ) -> Position? {
        var cursor = start
        guard let length = readLength(&cursor, end) else { return failLength(type, field) }
        guard length > 0 else { return cursor }
        let stride = Int(field.pointee.valueSize)
        let runEnd = cursor + length
        guard field.pointee.wireType == .varint else {
            guard length % stride == 0 else {
                return fail(.malformed, "is packed, but its length is no multiple of its element's", type, field)
            }
            guard let elements = extend(array, by: length / stride, stride: stride) else {
                return failMemory(type, field)
            }
            elements.copyMemory(from: cursor, byteCount: length)
            return runEnd
        }
        guard runEnd[-1] < 0x80 else { return fail(.malformed, "is a broken varint", type, field) }
        // Each varint ends with its only byte below 128.
        let count = UnsafeBufferPointer(start: cursor, count: length).reduce(0) { $0 &+ Int(~$1 &>> 7) }
        guard var element = extend(array, by: count, stride: stride) else { return failMemory(type, field) }
        for _ in 0..<count {
            guard let bits = readVarint(&cursor, runEnd) else {
                return fail(.malformed, "is a broken varint", type, field)
            }
            store(bits, field.pointee.form, element)
            element += stride
        }
        return cursor
    }

    /// A field that the type does not have, from behind its tag: appended to the message's unknown fields.
    @inline(never)
    private mutating func readUnknown(
        _ tag: UInt32, _ start: Position, _ end: Position, into message: UnsafeMutableRawPointer,
        _ type: UnsafePointer<MessageTable>, depth: Int
    ) -> Position? {
        var cursor = start
        switch skipValue(tag, &cursor, end, depth: depth) {
        case nil: break
        case .tooDeep: return fail(.tooDeep, "has an unknown group that is nested too deep", type)
        default: return fail(.malformed, "has a broken unknown field", type)
        }
        guard appendUnknown(tag, start, cursor, to: message) else { return failMemory(type) }
        return cursor
    }
}

// MARK: - Storing

extension Decoder {
    /// Says in the message that it has the field. A oneof's new member starts with no message to merge with.
    @inline(__always)
    private func markPresent(_ field: UnsafePointer<TableField>, in message: UnsafeMutableRawPointer) {
        let selector = message + Int(field.pointee.selector)
        switch field.pointee.presence {
        case .explicit: selector.storeBytes(of: 1, as: Int32.self)
        case .oneof:
            guard selector.load(as: UInt32.self) != field.pointee.number else { return }
            selector.storeBytes(of: field.pointee.number, as: UInt32.self)
            guard field.pointee.form == .message else { return }
            (message + Int(field.pointee.offset)).storeBytes(of: nil, as: UnsafeRawPointer?.self)
        case .implicit, .repeated, .packed: break
        }
    }

    /// Keeps what a varint says. Values of 32 bits are its lowest ones.
    @inline(__always)
    private func store(_ bits: UInt64, _ form: TableField.ValueForm, _ value: UnsafeMutableRawPointer) {
        switch form {
        case .int64: value.storeBytes(of: bits, as: UInt64.self)
        case .sint64: value.storeBytes(of: (bits >> 1) ^ (0 &- (bits & 1)), as: UInt64.self)
        case .bool: value.storeBytes(of: bits == 0 ? 0 : 1, as: Int32.self)
        case .sint32:
            let bits = UInt32(truncatingIfNeeded: bits)
            value.storeBytes(of: (bits >> 1) ^ (0 &- (bits & 1)), as: UInt32.self)
        default: value.storeBytes(of: UInt32(truncatingIfNeeded: bits), as: UInt32.self)
        }
    }

    /// A message with every field at its default; nil where it fails.
    @inline(__always)
    private mutating func makeMessage(_ type: UnsafePointer<MessageTable>) -> UnsafeMutableRawPointer? {
        let size = type.pointee.size
        guard let message = allocate(size) else {
            _ = failMemory(type)
            return nil
        }
        clear(message, size)
        message.storeBytes(of: type.pointee.handle, as: UnsafeRawPointer.self)
        return message
    }

    /// Makes an array longer, that is at a count and its elements' address: where the new elements go.
    ///
    /// In front of the elements is how many there is room for. The first time it is what is asked for, then it doubles:
    /// whatever the order of fields, an array takes at most four times what its elements do, and as much time.
    @inline(__always)
    private mutating func extend(
        _ array: UnsafeMutableRawPointer, by additional: Int, stride: Int
    ) -> UnsafeMutableRawPointer? {
        let count = array.load(as: Int.self)
        let needed = count &+ additional
        var elements = array.load(fromByteOffset: 8, as: UnsafeMutableRawPointer?.self)
        let capacity = elements.map { ($0 - Arena.alignment).load(as: Int.self) } ?? 0
        if needed > capacity {
            let newCapacity = max(needed, 2 &* capacity)
            guard let memory = allocate(Arena.alignment &+ newCapacity &* stride) else { return nil }
            memory.storeBytes(of: newCapacity, as: Int.self)
            let moved = memory + Arena.alignment
            if let elements { moved.copyMemory(from: elements, byteCount: count &* stride) }
            array.storeBytes(of: moved, toByteOffset: 8, as: UnsafeMutableRawPointer.self)
            elements = moved
        }
        array.storeBytes(of: needed, as: Int.self)
        return elements! + count &* stride
    }

    /// Adds a field to the one record that has all unknown fields of a message; false where there is no memory.
    private mutating func appendUnknown(
        _ tag: UInt32, _ start: Position, _ end: Position, to message: UnsafeMutableRawPointer
    ) -> Bool {
        let header = message.assumingMemoryBound(to: ProtobufCMessage.self)
        var encodedTag: (UInt64, Int) = (0, 0)
        if header.pointee.n_unknown_fields == 0 {
            guard let memory = allocate(MemoryLayout<ProtobufCMessageUnknownField>.size) else { return false }
            let record = memory.bindMemory(to: ProtobufCMessageUnknownField.self, capacity: 1)
            record.initialize(to: ProtobufCMessageUnknownField(tag: tag))
            header.pointee.unknown_fields = record
            header.pointee.n_unknown_fields = 1
        } else {
            encodedTag = shortestVarint(tag)
        }
        let array =
            UnsafeMutableRawPointer(header.pointee.unknown_fields!)
            + MemoryLayout<ProtobufCMessageUnknownField>.offset(of: \.len)!
        guard let room = extend(array, by: encodedTag.1 &+ (end - start), stride: 1) else { return false }
        withUnsafeBytes(of: encodedTag.0.littleEndian) {
            room.copyMemory(from: $0.baseAddress!, byteCount: encodedTag.1)
        }
        (room + encodedTag.1).copyMemory(from: start, byteCount: end - start)
        return true
    }

    /// Memory from the arena within the limit.
    @inline(__always)
    private mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        memory &-= roundedToArena(byteCount)
        return memory >= 0 ? arena.allocate(byteCount: byteCount) : nil
    }
}

/// Makes bytes zero; their number is a multiple of 16, and at least 32. Most messages take no more than 64: two times
/// two words of 16 bytes that may overlap.
@inline(__always)
private func clear(_ bytes: UnsafeMutableRawPointer, _ count: Int) {
    guard count <= 64 else {
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: count)
        return
    }
    let zeros = SIMD2<UInt64>()
    bytes.storeBytes(of: zeros, as: SIMD2<UInt64>.self)
    bytes.storeBytes(of: zeros, toByteOffset: 16, as: SIMD2<UInt64>.self)
    bytes.storeBytes(of: zeros, toByteOffset: count &- 32, as: SIMD2<UInt64>.self)
    bytes.storeBytes(of: zeros, toByteOffset: count &- 16, as: SIMD2<UInt64>.self)
}

/// Copies bytes, at least one. Most text is short: eight to sixteen bytes are copied as two words that may overlap.
@inline(__always)
private func copyBytes(_ source: UnsafePointer<UInt8>, _ count: Int, to target: UnsafeMutableRawPointer) {
    guard count >= 8, count <= 16 else { return target.copyMemory(from: source, byteCount: count) }
    let bytes = UnsafeRawPointer(source)
    let last = count &- 8
    target.storeBytes(of: bytes.loadUnaligned(as: UInt64.self), as: UInt64.self)
    target.storeBytes(
        of: bytes.loadUnaligned(fromByteOffset: last, as: UInt64.self), toByteOffset: last, as: UInt64.self)
}

// MARK: - Failing

extension Decoder {
    @inline(never)
    private mutating func fail(
        _ code: WireError.Code, _ reason: StaticString, _ type: UnsafePointer<MessageTable>,
        _ field: UnsafePointer<TableField>? = nil
    ) -> Position? {
        failure = Failure(code: code, reason: reason, type: type, field: field)
        return nil
    }

    private mutating func failLength(
        _ type: UnsafePointer<MessageTable>, _ field: UnsafePointer<TableField>
    ) -> Position? {
        fail(.malformed, "is cut short or has a broken length", type, field)
    }

    private mutating func failMemory(
        _ type: UnsafePointer<MessageTable>, _ field: UnsafePointer<TableField>? = nil
    ) -> Position? {
        fail(
            .tooLarge, memory < 0 ? "takes too much memory when decoded" : "takes more memory than its arena may hold",
            type, field)
    }

    private func error(_ limits: DecodeLimits) -> WireError {
        guard let failure else { return WireError(.malformed, "the message could not be decoded") }
        var place = String(cString: failure.type.pointee.name)
        if let field = failure.field { place += "." + String(cString: field.pointee.name) }
        let limit =
            switch failure.code {
            case .tooDeep: " (limit: \(limits.depth) levels)"
            case .tooLarge where memory < 0: " (limit: \(limits.memory) bytes)"
            case .tooLarge:
                " (limit: \(arena.limit) bytes beyond its first block; send less, or make it with a higher one)"
            default: ""
            }
        return WireError(failure.code, "\(place) \(failure.reason)\(limit)")
    }
}
