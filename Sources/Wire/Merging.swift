/// Rewrites encoded messages so that no singular message field occurs twice.
///
/// A singular message field that occurs again is to be merged with what came before: the same as decoding the
/// concatenation of its payloads (https://protobuf.dev/programming-guides/encoding/#last-one-wins). protobuf-c 1.4.1
/// merges wrongly: it loses scalars without presence and unknown fields, and fails on a oneof that is not set. So it
/// never sees a second occurrence. No encoder writes one, hence this path may allocate.
struct Merger {
    /// Bytes that may still be copied. Nested repetition copies its payload at each level.
    private var budget: Int

    /// Valid `bytes` of the type, rewritten.
    static func merge(
        _ bytes: UnsafeRawBufferPointer, as type: MessageDescriptor, limits: DecodeLimits
    ) throws(WireError) -> [UInt8] {
        var merger = Merger(budget: limits.memory)
        return try merger.merge(bytes, type.table)
    }

    private mutating func merge(
        _ bytes: UnsafeRawBufferPointer, _ type: UnsafePointer<MessageTable>
    ) throws(WireError) -> [UInt8] {
        budget -= bytes.count
        guard budget >= 0 else {
            throw WireError(.tooLarge, "\(String(cString: type.pointee.name)) repeats too many nested messages")
        }
        var payloads = collectPayloads(bytes, type)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        for record in Records(bytes, type) {
            guard let field = record.mergeable, let inner = field.pointee.message else {
                output += record.bytes
                continue
            }
            // The last occurrence stands for all: so the last member of a oneof stays the last.
            payloads[field.pointee.number]!.remaining -= 1
            let payload = payloads[field.pointee.number]!
            guard payload.remaining == 0 else { continue }
            let merged = try payload.bytes.withUnsafeBufferPointer { (bytes) throws(WireError) in
                try merge(UnsafeRawBufferPointer(bytes), inner)
            }
            output.appendVarint(UInt64(field.pointee.number) << 3 | UInt64(WireType.lengthPrefixed.rawValue))
            output.appendVarint(UInt64(merged.count))
            output += merged
        }
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
        _ bytes: UnsafeRawBufferPointer, _ type: UnsafePointer<MessageTable>
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
            guard record.mergeable != nil else { continue }
            payloads[number, default: Payload()].bytes += record.payload
            payloads[number]!.remaining += 1
        }
        return payloads
    }
}

/// The fields of one message that the scanner has accepted, in their order.
private struct Records: Sequence, IteratorProtocol {
    struct Record {
        let field: UnsafePointer<TableField>?
        /// Tag, length and payload.
        let bytes: UnsafeBufferPointer<UInt8>
        let payload: UnsafeBufferPointer<UInt8>

        /// The field, where it is a singular message.
        var mergeable: UnsafePointer<TableField>? {
            field.flatMap { $0.pointee.mergeBit == 0 ? nil : $0 }
        }
    }

    private let type: UnsafePointer<MessageTable>
    private var cursor: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>

    init(_ bytes: UnsafeRawBufferPointer, _ type: UnsafePointer<MessageTable>) {
        self.type = type
        // No bytes may have no address; then any will do.
        cursor = (bytes.baseAddress ?? UnsafeRawPointer(type)).assumingMemoryBound(to: UInt8.self)
        end = cursor + bytes.count
    }

    mutating func next() -> Record? {
        let start = cursor
        guard cursor < end, let tag = readTag(&cursor, end) else { return nil }
        var payload = cursor
        switch WireType(rawValue: UInt8(tag & 7)) {
        case .varint: _ = skipVarint(&cursor, end)
        case .fixed64: cursor += 8
        case .fixed32: cursor += 4
        default:
            let length = readLength(&cursor, end) ?? 0
            payload = cursor
            cursor += length
        }
        return Record(
            field: type.pointee.field(tag >> 3), bytes: UnsafeBufferPointer(start: start, count: cursor - start),
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
}
