/// Turns an encoded message into JSON: fields in the order of their numbers, entries of maps in that of their keys.
struct MessagePrinter {
    private var writer: JSONWriter
    private let options: JSONEncodingOptions
    /// The types that the outermost message's file knows.
    private let fileTypes: FileTypes
    private(set) var path: [PathStep] = []
    /// How many more messages may be nested here.
    private var depth: Int

    init(_ fileTypes: FileTypes, _ options: JSONEncodingOptions) {
        writer = JSONWriter(isPretty: options.isPretty)
        self.options = options
        self.fileTypes = fileTypes
        depth = options.messageDepthLimit
    }

    /// The text so far.
    var text: [UInt8] { writer.bytes }

    // MARK: - Messages

    /// Prints a message. Where that throws, ``path`` leads to what was wrong.
    mutating func print(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        switch type.form {
        case .object:
            writer.beginObject()
            try members(type, bytes)
            writer.endObject()
        case .any: try any(type, bytes)
        case .timestamp: try time(type, bytes, TimestampText.print, "no time from the year 1 to 9999")
        case .duration: try time(type, bytes, DurationText.print, "no duration of at most 315576000000 seconds")
        case .fieldMask: try fieldMask(type, bytes)
        case .value: try dynamicValue(type, bytes)
        case .structure, .listValue, .wrapper:
            // JSON has the one field in place of the message.
            var fields = try MessageFields(type, bytes)
            try content(of: type.fields[0], fields.values(ofFieldAt: 0))
        }
    }

    private mutating func nested(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        guard depth > 0 else {
            throw JSONError(.tooDeep, "messages are nested deeper than \(options.messageDepthLimit) levels")
        }
        depth -= 1
        try print(type, bytes)
        depth += 1
    }

    private mutating func members(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var fields = try MessageFields(type, bytes)
        for (index, field) in type.fields.enumerated() {
            let values = fields.values(ofFieldAt: index)
            guard isPrinted(field, values) else { continue }
            let name = options.preserveProtoFieldNames ? field.name : field.jsonName
            writer.member(name)
            path.append(.field(name))
            try content(of: field, values)
            path.removeLast()
        }
    }

    private func isPrinted(_ field: Field, _ values: [WireValue]) -> Bool {
        switch field.cardinality {
        case .explicit: !values.isEmpty
        case .implicit:
            options.alwaysPrintFieldsWithNoPresence || values.last.map { !field.kind.isDefault($0) } ?? false
        case .map: options.alwaysPrintFieldsWithNoPresence || !values.isEmpty
        case .repeated:
            // A packed run may be empty.
            options.alwaysPrintFieldsWithNoPresence
                || !(field.kind.isPackable ? values.allSatisfy(\.isEmptyRun) : values.isEmpty)
        }
    }

    /// What stands behind a field's name; its default where there are no values.
    private mutating func content(of field: Field, _ values: [WireValue]) throws(JSONError) {
        switch field.cardinality {
        case .implicit, .explicit: try value(field.kind, field.kind.merged(values) ?? field.kind.defaultValue)
        case .repeated: try list(field.kind, values)
        case .map: try map(field, values)
        }
    }

    private mutating func list(_ kind: Field.Kind, _ values: [WireValue]) throws(JSONError) {
        writer.beginArray()
        var index = 0
        for value in values {
            if case .bytes(let run) = value, kind.isPackable {
                var reader = WireReader(run)
                while !reader.isAtEnd { try element(kind, reader.packedValue(kind.wireType), &index) }
            } else {
                try element(kind, value, &index)
            }
        }
        writer.endArray()
    }

    private mutating func element(_ kind: Field.Kind, _ value: WireValue, _ index: inout Int) throws(JSONError) {
        path.append(.index(index))
        writer.element()
        try self.value(kind, value)
        path.removeLast()
        index += 1
    }

    private mutating func map(_ field: Field, _ values: [WireValue]) throws(JSONError) {
        guard case .message(let type) = field.kind else { return }
        let (keyKind, valueKind) = (type.fields[0].kind, type.fields[1].kind)
        var entries: [MapKey: WireValue] = [:]
        for case .bytes(let entry) in values {
            var fields = try MessageFields(type, entry)
            let key = keyKind.merged(fields.values(ofFieldAt: 0)) ?? keyKind.defaultValue
            entries[try mapKey(keyKind, key)] =
                valueKind.merged(fields.values(ofFieldAt: 1)) ?? valueKind.defaultValue
        }
        writer.beginObject()
        for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
            writer.member(key.text)
            path.append(.key(key.text))
            try self.value(valueKind, value)
            path.removeLast()
        }
        writer.endObject()
    }

    private func mapKey(_ kind: Field.Kind, _ value: WireValue) throws(JSONError) -> MapKey {
        switch Scalar(kind, value) {
        case .signed(let number): return .signed(number)
        case .unsigned(let number): return .unsigned(number)
        case .bool(let bool): return .bool(bool)
        case .bytes(let bytes): return .string(Array(try utf8(bytes)))
        case .float, .double: throw JSONError(.malformed, "no map has such a key")
        }
    }

    // MARK: - Values

    private mutating func value(_ kind: Field.Kind, _ value: WireValue) throws(JSONError) {
        if case .message(let type) = kind, case .bytes(let bytes) = value { return try nested(type, bytes) }
        switch (Scalar(kind, value), kind) {
        case (.signed(let number), .enumeration(let type)): enumeration(type, Int32(truncatingIfNeeded: number))
        case (.signed(let number), _) where kind.is64Bit: writer.string(String(number).utf8)
        case (.unsigned(let number), _) where kind.is64Bit: writer.string(String(number).utf8)
        case (.signed(let number), _): writer.literal(String(number))
        case (.unsigned(let number), _): writer.literal(String(number))
        case (.bool(let bool), _): writer.literal(String(bool))
        case (.float(let number), _): floatingPoint(number)
        case (.double(let number), _): floatingPoint(number)
        case (.bytes(let bytes), .string): writer.string(try utf8(bytes))
        case (.bytes(let bytes), _): writer.string(Base64.encode(bytes))
        }
    }

    private func utf8(_ bytes: ArraySlice<UInt8>) throws(JSONError) -> ArraySlice<UInt8> {
        guard isValidUTF8(bytes) else { throw JSONError(.malformed, "a string is not valid UTF-8") }
        return bytes
    }

    private mutating func enumeration(_ type: EnumType, _ number: Int32) {
        if type.isNull {
            writer.literal("null")
        } else if let name = type.names[number] {
            writer.string(name.utf8)
        } else {
            writer.literal(String(number))
        }
    }

    /// The shortest text that reads back as the number.
    private mutating func floatingPoint<Value: BinaryFloatingPoint & CustomStringConvertible>(_ number: Value) {
        if number.isNaN { return writer.string("NaN".utf8) }
        if number.isInfinite { return writer.string((number < 0 ? "-Infinity" : "Infinity").utf8) }
        let text = number.description
        writer.literal(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }

    // MARK: - Well-known types

    private mutating func time(
        _ type: MessageType, _ bytes: ArraySlice<UInt8>, _ text: (TimeParts) -> String?, _ complaint: String
    ) throws(JSONError) {
        var fields = try MessageFields(type, bytes)
        let numbers = (0..<2).map { index in
            let kind = type.fields[index].kind
            return Scalar(kind, fields.values(ofFieldAt: index).last ?? kind.defaultValue)
        }
        guard case .signed(let seconds) = numbers[0], case .signed(let nanos) = numbers[1] else { return }
        guard let text = text(TimeParts(seconds: seconds, nanos: Int32(nanos))) else {
            throw JSONError(.invalidValue, "\(seconds) seconds and \(nanos) nanoseconds are \(complaint)")
        }
        writer.string(text.utf8)
    }

    private mutating func fieldMask(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var fields = try MessageFields(type, bytes)
        var paths: [[UInt8]] = []
        for case .bytes(let path) in fields.values(ofFieldAt: 0) {
            guard let camel = FieldMaskText.camelCase(try utf8(path)) else {
                throw JSONError(
                    .invalidValue, "the path \"\(excerpt(path))\" would not come back from JSON; write it in snake_case"
                )
            }
            paths.append(camel)
        }
        writer.string(Array(paths.joined(separator: [UInt8(ascii: ",")])))
    }

    private mutating func dynamicValue(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var fields = try MessageFields(type, bytes)
        for (index, field) in type.fields.enumerated() {
            guard let value = field.kind.merged(fields.values(ofFieldAt: index)) else { continue }
            if case .double(let number) = Scalar(field.kind, value), !number.isFinite {
                throw JSONError(.invalidValue, "a google.protobuf.Value cannot be \(number) in JSON")
            }
            return try self.value(field.kind, value)
        }
        throw JSONError(.invalidValue, "a google.protobuf.Value is not set; set one of its members, such as null_value")
    }

    private mutating func any(_ type: MessageType, _ bytes: ArraySlice<UInt8>) throws(JSONError) {
        var fields = try MessageFields(type, bytes)
        let parts = (0..<2).map { index in
            if case .bytes(let bytes) = fields.values(ofFieldAt: index).last { bytes } else { ArraySlice<UInt8>() }
        }
        let (url, content) = (parts[0], parts[1])
        writer.beginObject()
        if !url.isEmpty || !content.isEmpty {
            let type = try anyType(of: Array(try utf8(url)), types: options.types, fileTypes)
            writer.member("@type")
            writer.string(url)
            if type.form == .object {
                try members(type, content)
            } else {
                writer.member("value")
                path.append(.field("value"))
                try nested(type, content)
                path.removeLast()
            }
        }
        writer.endObject()
    }
}

/// A value of a kind, read off the wire.
private enum Scalar {
    case signed(Int64)
    case unsigned(UInt64)
    case bool(Bool)
    case float(Float)
    case double(Double)
    case bytes(ArraySlice<UInt8>)

    /// - Parameter value: Of the kind's wire type.
    init(_ kind: Field.Kind, _ value: WireValue) {
        switch value {
        case .varint(let bits):
            let narrow = UInt32(truncatingIfNeeded: bits)
            switch kind {
            case .int32, .enumeration: self = .signed(Int64(Int32(bitPattern: narrow)))
            case .sint32: self = .signed(Int64(Int32(bitPattern: narrow >> 1) ^ -Int32(narrow & 1)))
            case .sint64: self = .signed(Int64(bitPattern: bits >> 1) ^ -Int64(bits & 1))
            case .uint32: self = .unsigned(UInt64(narrow))
            case .uint64: self = .unsigned(bits)
            case .bool: self = .bool(bits != 0)
            default: self = .signed(Int64(bitPattern: bits))
            }
        case .fixed32(let bits):
            switch kind {
            case .float: self = .float(Float(bitPattern: bits))
            case .fixed32: self = .unsigned(UInt64(bits))
            default: self = .signed(Int64(Int32(bitPattern: bits)))
            }
        case .fixed64(let bits):
            switch kind {
            case .double: self = .double(Double(bitPattern: bits))
            case .fixed64: self = .unsigned(bits)
            default: self = .signed(Int64(bitPattern: bits))
            }
        case .bytes(let bytes): self = .bytes(bytes)
        case .group: self = .bytes([])
        }
    }
}

extension Field.Kind {
    /// Whether JSON has the number in quotes, as JavaScript's numbers would lose digits.
    fileprivate var is64Bit: Bool {
        switch self {
        case .int64, .sint64, .sfixed64, .uint64, .fixed64: true
        default: false
        }
    }
}

extension WireValue {
    fileprivate var isEmptyRun: Bool { if case .bytes(let run) = self { run.isEmpty } else { false } }
}

extension WireReader {
    fileprivate mutating func packedValue(_ type: WireType) throws(JSONError) -> WireValue {
        switch type {
        case .varint: .varint(try varint())
        case .fixed32: .fixed32(try fixed(UInt32.self))
        case .fixed64: .fixed64(try fixed(UInt64.self))
        case .bytes: throw JSONError(.malformed, "strings and messages are never packed")
        }
    }
}
