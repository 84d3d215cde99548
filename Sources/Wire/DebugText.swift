internal import CProtobufC

/// A message in memory as people read it: the fields that are set, in protobuf's text format
/// (https://protobuf.dev/reference/protobuf/textformat-spec/) on one line. Enums are numbers, as the tables do not name
/// their values; of unknown fields it says how many bytes they are.
struct DebugText {
    /// What is longer is cut: a message of megabytes helps nobody in a log.
    static let maxByteCount = 4096

    private var text: [UInt8] = []

    /// The text of a message of the type.
    static func of(_ message: UnsafeRawPointer, _ type: MessageDescriptor) -> String {
        var writer = Self()
        writer.put(message, type.table)
        guard writer.isFull else { return String(decoding: writer.text, as: UTF8.self) }
        return String(decoding: writer.text.prefix(Self.lastBoundary(in: writer.text)), as: UTF8.self) + "..."
    }

    /// Where text may be cut so that no character is.
    private static func lastBoundary(in text: [UInt8]) -> Int {
        var end = maxByteCount
        while end > 0, text[end] & 0xc0 == 0x80 { end -= 1 }
        return end
    }

    private var isFull: Bool { text.count > Self.maxByteCount }

    private mutating func put(_ message: UnsafeRawPointer, _ type: UnsafePointer<MessageTable>) {
        let fields = type.pointee.fields
        for index in fields.indices where !isFull { put(fields.baseAddress! + index, of: message) }
        putUnknownFields(of: message)
    }

    private mutating func put(_ field: UnsafePointer<TableField>, of message: UnsafeRawPointer) {
        let value = message + Int(field.pointee.offset)
        switch field.pointee.presence {
        case .repeated, .packed: return putRepeated(field, value)
        case .implicit:
            if isDefault(field, value) { return }
        case .explicit:
            if message.load(fromByteOffset: Int(field.pointee.selector), as: Int32.self) == 0 { return }
        case .oneof:
            let member = message.load(fromByteOffset: Int(field.pointee.selector), as: UInt32.self)
            if member != field.pointee.number { return }
            if field.pointee.form == .message, isDefault(field, value) { return }
        }
        putName(of: field)
        putValue(field, value)
    }

    private mutating func putRepeated(_ field: UnsafePointer<TableField>, _ array: UnsafeRawPointer) {
        let elements = RepeatedElements(field, array)
        guard elements.start < elements.end else { return }
        let addresses = stride(from: elements.start, to: elements.end, by: elements.stride)
        if field.pointee.form == .message {
            for element in addresses where !isFull {
                putName(of: field)
                putValue(field, element)
            }
            return
        }
        putName(of: field)
        for element in addresses where !isFull {
            put(element == elements.start ? "[" : ", ")
            putValue(field, element)
        }
        put("]")
    }

    /// The name, and what stands between it and the value.
    private mutating func putName(of field: UnsafePointer<TableField>) {
        putSpace()
        put(String(cString: field.pointee.name))
        put(field.pointee.form == .message ? " " : ": ")
    }

    private mutating func putValue(_ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer) {
        switch field.pointee.form {
        case .bool: put(value.load(as: Int32.self) == 0 ? "false" : "true")
        case .bytes: putQuoted(value.load(as: WireBytes.self).buffer, isUTF8: field.pointee.isUTF8)
        case .message:
            put("{")
            let empty = text.count
            put(value.load(as: UnsafeRawPointer.self), field.pointee.message!)
            put(text.count == empty ? "}" : " }")
        default: putNumber(field, value)
        }
    }

    private mutating func putNumber(_ field: UnsafePointer<TableField>, _ value: UnsafeRawPointer) {
        switch (field.pointee.numberKind, field.pointee.valueSize) {
        case (.signed, 4): put(String(value.load(as: Int32.self)))
        case (.signed, _): put(String(value.load(as: Int64.self)))
        case (.unsigned, 4): put(String(value.load(as: UInt32.self)))
        case (.unsigned, _): put(String(value.load(as: UInt64.self)))
        case (.floatingPoint, 4): put("\(value.load(as: Float.self))")
        case (.floatingPoint, _): put("\(value.load(as: Double.self))")
        }
    }

    /// Text with its characters, bytes with those of ASCII.
    private mutating func putQuoted(_ bytes: UnsafeRawBufferPointer, isUTF8: Bool) {
        put("\"")
        for byte in bytes {
            if isFull { return }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): put("\\n")
            case UInt8(ascii: "\r"): put("\\r")
            case UInt8(ascii: "\t"): put("\\t")
            case 0x20..<0x7f: text.append(byte)
            case 0x80... where isUTF8: text.append(byte)
            default: putOctal(byte)
            }
        }
        put("\"")
    }

    private mutating func putOctal(_ byte: UInt8) {
        let digits = [byte >> 6, byte >> 3 & 7, byte & 7]
        text += [UInt8(ascii: "\\")] + digits.map { UInt8(ascii: "0") + $0 }
    }

    private mutating func putUnknownFields(of message: UnsafeRawPointer) {
        guard message.assumingMemoryBound(to: ProtobufCMessage.self).pointee.n_unknown_fields > 0, !isFull else {
            return
        }
        let byteCount = UnknownFields(_of: message).bytes.count
        putSpace()
        put("[unknown: \(byteCount) bytes]")
    }

    private mutating func putSpace() {
        if !text.isEmpty { put(" ") }
    }

    private mutating func put(_ string: String) { text += string.utf8 }
}
