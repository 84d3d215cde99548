/// The known fields of one encoded message, gathered: a field may stand on the wire in pieces and more than once.
struct MessageFields {
    private struct Occurrence {
        let index: Int
        let value: WireValue
    }

    /// In the order of the fields' numbers, and those of one field in the order in which they came.
    private var occurrences: [Occurrence] = []
    private var next = 0

    init(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var reader = WireReader(bytes)
        var hasOneof = false
        while let (number, value) = try reader.next() {
            guard let index = type.index(numbered: number) else { continue }
            let field = type.fields[index]
            // What has another wire type than its field is an unknown field.
            guard field.accepts(value) else { continue }
            occurrences.append(Occurrence(index: index, value: value))
            hasOneof = hasOneof || field.oneof != nil
        }
        if hasOneof { keepLastMembers(type) }
        occurrences.sort { $0.index < $1.index }
    }

    /// Of each oneof keeps the member that came last, from where it began to be the last.
    private mutating func keepLastMembers(_ type: MessageType) {
        var last: [Int: Int] = [:]
        var isOver: Set<Int> = []
        var kept: [Occurrence] = []
        for occurrence in occurrences.reversed() {
            if let oneof = type.fields[occurrence.index].oneof {
                if last[oneof, default: occurrence.index] != occurrence.index { isOver.insert(oneof) }
                last[oneof] = last[oneof] ?? occurrence.index
                if isOver.contains(oneof) { continue }
            }
            kept.append(occurrence)
        }
        occurrences = kept.reversed()
    }

    /// The values of a field. Fields must be asked for in the order of their numbers.
    mutating func values(ofFieldAt index: Int) -> [WireValue] {
        let start = next
        while next < occurrences.count, occurrences[next].index == index { next += 1 }
        return occurrences[start..<next].map(\.value)
    }
}

extension Field {
    fileprivate func accepts(_ value: WireValue) -> Bool {
        switch (value, kind.wireType) {
        case (.varint, .varint), (.fixed32, .fixed32), (.fixed64, .fixed64), (.bytes, .bytes): return true
        case (.bytes, _): if case .repeated = cardinality { return true }
        default: break
        }
        return false
    }
}

extension Field.Kind {
    /// The one value of a singular field: the last, or of messages all of them merged, which is to say concatenated.
    /// Nil where there is none.
    func merged(_ values: [WireValue]) -> WireValue? {
        guard isMessage, values.count > 1 else { return values.last }
        var bytes: [UInt8] = []
        for case .bytes(let part) in values { bytes += part }
        return .bytes(bytes[...])
    }

    /// Zero, false or empty.
    var defaultValue: WireValue {
        switch wireType {
        case .varint: .varint(0)
        case .fixed32: .fixed32(0)
        case .fixed64: .fixed64(0)
        case .bytes: .bytes([])
        }
    }

    /// Whether the value of a field without presence is the default, which is as good as none.
    func isDefault(_ value: WireValue) -> Bool {
        switch (value, self) {
        case (.varint(let number), .int32), (.varint(let number), .uint32), (.varint(let number), .sint32),
            (.varint(let number), .enumeration):
            UInt32(truncatingIfNeeded: number) == 0
        case (.varint(let number), _), (.fixed64(let number), _): number == 0
        case (.fixed32(let number), _): number == 0
        case (.bytes(let bytes), _): bytes.isEmpty
        case (.group, _): true
        }
    }
}
