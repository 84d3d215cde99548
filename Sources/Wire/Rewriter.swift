internal import CProtobufC

/// Rewrites encoded messages that protobuf-c 1.4.1 would read wrongly, or not at all, as such that it reads rightly:
///
/// - A singular message field that occurs again is to be merged with what came before: the same as decoding the
///   concatenation of its payloads (https://protobuf.dev/programming-guides/encoding/#last-one-wins). protobuf-c loses
///   scalars without presence and unknown fields, and fails on a oneof that is not set.
/// - A field whose wire type is not that of its schema, and a group, is an unknown field. protobuf-c fails on both.
///   So the unknown fields of a message are gathered, in their order, in one field of a number that no message has;
///   ``restoreUnknownFields(of:_:)`` makes them what they were once protobuf-c has decoded the message.
/// - A bool is true where any of the lowest 64 bits of its varint is set. protobuf-c looks at all 70.
///
/// No encoder of the same schema writes any of them, hence this path may allocate.
struct Rewriter {
    /// Bytes that may still be copied. What is nested is copied at each level.
    private var budget: Int

    /// protoc refuses fields with this number: those from here to 19,999 are kept for implementations of protobuf
    /// (https://protobuf.dev/programming-guides/proto3/#assigning).
    static var gatheredNumber: UInt32 { 19_000 }

    /// Valid `bytes` of the type, rewritten.
    static func rewrite(
        _ bytes: UnsafeRawBufferPointer, as type: MessageDescriptor, limits: DecodeLimits
    ) throws(WireError) -> [UInt8] {
        var rewriter = Rewriter(budget: limits.memory)
        return try rewriter.rewrite(bytes.bindMemory(to: UInt8.self), type.table)
    }

    private mutating func rewrite(
        _ bytes: UnsafeBufferPointer<UInt8>, _ type: UnsafePointer<MessageTable>
    ) throws(WireError) -> [UInt8] {
        budget -= bytes.count
        guard budget >= 0 else {
            throw WireError(.tooLarge, "\(String(cString: type.pointee.name)) repeats too many nested messages")
        }
        var singular = collectPayloads(bytes, type)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var unknown: [UInt8] = []
        for record in Records(bytes, type) {
            guard let field = record.field else {
                unknown.append(record)
                continue
            }
            if let inner = field.pointee.message {
                // The last occurrence stands for all: so the last member of a oneof stays the last.
                singular[field.pointee.number]?.remaining -= 1
                let payload = singular[field.pointee.number] ?? Payload(bytes: Array(record.payload))
                guard payload.remaining == 0 else { continue }
                let rewritten = try payload.bytes.withUnsafeBufferPointer { (bytes) throws(WireError) in
                    try rewrite(bytes, inner)
                }
                output.appendField(field.pointee.number, rewritten)
            } else if field.pointee.isBool {
                output.appendBools(of: record)
            } else {
                output.append(record)
            }
        }
        if !unknown.isEmpty { output.appendField(Self.gatheredNumber, unknown) }
        return output
    }

    private struct Payload {
        var bytes: [UInt8] = []
        /// Occurrences that were not written yet.
        var remaining = 0
    }

    /// The concatenated payloads of each singular message field, by number. Setting another member of its oneof
    /// clears what a field had so far.
    private func collectPayloads(
        _ bytes: UnsafeBufferPointer<UInt8>, _ type: UnsafePointer<MessageTable>
    ) -> [UInt32: Payload] {
        var payloads: [UInt32: Payload] = [:]
        var lastMember: [UInt32: UInt32] = [:]
        for record in Records(bytes, type) {
            guard let field = record.field else { continue }
            let number = field.pointee.number
            if field.pointee.oneof != 0, let previous = lastMember.updateValue(number, forKey: field.pointee.oneof),
                previous != number
            {
                payloads[previous]?.bytes = []
            }
            guard field.pointee.mergeBit != 0 else { continue }
            payloads[number, default: Payload()].bytes += record.payload
            payloads[number]!.remaining += 1
        }
        return payloads
    }
}

extension Rewriter {
    /// Makes the gathered unknown fields of a decoded message, and of those within it, what they were.
    static func restoreUnknownFields(of message: UnsafeRawPointer, _ type: UnsafePointer<MessageTable>) {
        let header = message.assumingMemoryBound(to: ProtobufCMessage.self).pointee
        if header.n_unknown_fields > 0, header.unknown_fields[0].tag == gatheredNumber {
            header.unknown_fields[0] = ProtobufCMessageUnknownField(gathered: header.unknown_fields[0])
        }
        for field in type.pointee.fields {
            guard let inner = field.message else { continue }
            let value = message + Int(field.offset)
            if field.isRepeated {
                let elements = UnsafeBufferPointer(
                    start: value.load(fromByteOffset: 8, as: UnsafePointer<UnsafeRawPointer>?.self),
                    count: value.load(as: Int.self))
                for element in elements { restoreUnknownFields(of: element, inner) }
            } else if field.isPresent(in: message), let message = value.load(as: UnsafeRawPointer?.self) {
                restoreUnknownFields(of: message, inner)
            }
        }
    }
}

extension TableField {
    /// Whether the memory of a singular message field is its own: that of a oneof belongs to the member that is set.
    fileprivate func isPresent(in message: UnsafeRawPointer) -> Bool {
        presence != .oneof || message.load(fromByteOffset: Int(selector), as: UInt32.self) == number
    }
}

extension ProtobufCMessageUnknownField {
    /// One record for any number of encoded fields: protobuf-c writes a field's tag and then its data as they are, so
    /// all further fields can be in the first one's data. Nil where there are none.
    init?(fields: UnsafeBufferPointer<UInt8>) {
        guard var cursor = fields.baseAddress, fields.count > 0 else { return nil }
        let end = cursor + fields.count
        guard let tag = readTag(&cursor, end) else { return nil }
        self.init(
            tag: tag >> 3, wire_type: ProtobufCWireType(rawValue: tag & 7), len: end - cursor,
            data: UnsafeMutablePointer(mutating: cursor))
    }

    /// The fields that a length-prefixed field carries.
    fileprivate init(gathered field: Self) {
        var cursor = UnsafePointer(field.data!)
        let length = readLength(&cursor, cursor + field.len)!
        self = Self(fields: UnsafeBufferPointer(start: cursor, count: length))!
    }
}

/// The fields of one message that the scanner has accepted, in their order.
private struct Records: Sequence, IteratorProtocol {
    struct Record {
        let number: UInt32
        let wireType: WireType
        /// Nil where the type has none of the number and wire type.
        let field: UnsafePointer<TableField>?
        /// All that follows the tag.
        let value: UnsafeBufferPointer<UInt8>
        /// The same without the length.
        let payload: UnsafeBufferPointer<UInt8>
    }

    private let type: UnsafePointer<MessageTable>
    private var cursor: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ type: UnsafePointer<MessageTable>) {
        self.type = type
        // No bytes may have no address; then any will do.
        cursor = bytes.baseAddress ?? UnsafeRawPointer(type).assumingMemoryBound(to: UInt8.self)
        end = cursor + bytes.count
    }

    mutating func next() -> Record? {
        guard cursor < end, let tag = readTag(&cursor, end), let wireType = WireType(rawValue: UInt8(tag & 7))
        else { return nil }
        let value = cursor
        var payload = cursor
        if wireType == .lengthPrefixed {
            let length = readLength(&cursor, end) ?? 0
            payload = cursor
            cursor += length
        } else {
            _ = skipValue(tag, &cursor, end, depth: .max)
        }
        let field = type.field(tag >> 3)
        return Record(
            number: tag >> 3, wireType: wireType, field: field.flatMap { $0.pointee.accepts(wireType) ? $0 : nil },
            value: UnsafeBufferPointer(start: value, count: cursor - value),
            payload: UnsafeBufferPointer(start: payload, count: cursor - payload))
    }
}

extension [UInt8] {
    mutating func appendVarint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        append(UInt8(value))
    }

    /// Appends a length-prefixed field.
    mutating func appendField(_ number: UInt32, _ payload: [UInt8]) {
        appendTag(number, WireType.lengthPrefixed.rawValue)
        appendVarint(UInt64(payload.count))
        self += payload
    }

    /// Appends a field as it is, but for a tag that was longer than it must be: protobuf-c keeps none, either.
    fileprivate mutating func append(_ record: Records.Record) {
        appendTag(record.number, record.wireType.rawValue)
        self += record.value
    }

    mutating func appendTag(_ number: UInt32, _ wireType: UInt8) {
        appendVarint(UInt64(number) << 3 | UInt64(wireType))
    }
}

extension [UInt8] {
    /// Appends a field of one bool, or of a run of them, with each in one byte.
    fileprivate mutating func appendBools(of record: Records.Record) {
        var bools: [UInt8] = []
        var cursor = record.payload.baseAddress!
        let end = cursor + record.payload.count
        while cursor < end {
            let start = cursor
            _ = skipVarint(&cursor, end)
            // The last of ten bytes has the 64th bit and six that do not count.
            let isTrue = (0..<cursor - start).contains { start[$0] & ($0 == 9 ? 0x01 : 0x7f) != 0 }
            bools.append(isTrue ? 1 : 0)
        }
        if record.wireType == .lengthPrefixed {
            appendField(record.number, bools)
        } else {
            appendTag(record.number, record.wireType.rawValue)
            self += bools
        }
    }
}
