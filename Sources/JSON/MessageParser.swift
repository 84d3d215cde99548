/// Turns JSON into an encoded message: fields in the order of their numbers, entries of maps in that of their keys.
struct MessageParser {
    private var reader: JSONReader
    private let options: JSONDecodingOptions
    /// The types that the outermost message's file knows.
    private let fileTypes: FileTypes
    private(set) var path: [PathStep] = []
    /// How many more messages may be nested here.
    private var depth: Int
    private(set) var output: [UInt8] = []
    /// Bytes that were looked through for the types of Anys.
    private var lookedAhead = 0

    init(_ text: [UInt8], _ fileTypes: FileTypes, _ options: JSONDecodingOptions) {
        reader = JSONReader(text)
        self.options = options
        self.fileTypes = fileTypes
        depth = options.messageDepthLimit
    }

    /// Parses the whole text into ``output``. Where that throws, ``path`` leads to what was wrong.
    mutating func parse(_ type: MessageType) throws(JSONError) {
        try message(type)
        try reader.finish()
    }

    // MARK: - Messages

    /// Appends a message's content.
    private mutating func message(_ type: MessageType) throws(JSONError) {
        switch type.form {
        case .object: try object(type)
        case .any: try any()
        case .timestamp:
            try time(TimestampText.parse, "a time such as \"2026-01-31T12:00:00Z\", from the year 1 to 9999,")
        case .duration: try time(DurationText.parse, "a duration such as \"1.5s\", of at most 315576000000 seconds,")
        case .fieldMask: try fieldMask()
        case .value: try dynamicValue(type)
        case .structure, .listValue, .wrapper:
            // JSON has the one field in place of the message.
            var oneofs: Set<Int> = []
            try field(type.fields[0], &oneofs)
        }
    }

    /// Appends a message's length and content.
    private mutating func nestedMessage(_ type: MessageType) throws(JSONError) {
        try enter()
        let start = output.count
        try message(type)
        output.insertLength(at: start)
        depth += 1
    }

    private mutating func enter() throws(JSONError) {
        guard depth > 0 else {
            throw JSONError(.tooDeep, "messages are nested deeper than \(options.messageDepthLimit) levels")
        }
        depth -= 1
    }

    /// What one field of a message, or one entry of a map, takes of ``output``.
    private struct Part<Key: Comparable> {
        let key: Key
        let range: Range<Int>
    }

    /// - Parameter isAny: Whether the object has a member `@type`, which was read before.
    private mutating func object(_ type: MessageType, isAny: Bool = false) throws(JSONError) {
        let start = output.count
        var parts: [Part<UInt32>] = []
        var names: Set<Int> = []
        var oneofs: Set<Int> = []
        var hasType = false
        try reader.beginObject()
        while let name = try reader.nextName() {
            if isAny, name == Self.typeMember {
                try passType(&hasType)
                continue
            }
            path.append(.field(name))
            if let index = type.index(named: name) {
                guard names.insert(index).inserted else { throw JSONError(.invalidValue, "the field is there twice") }
                let fieldStart = output.count
                try field(type.fields[index], &oneofs)
                parts.append(Part(key: type.fields[index].number, range: fieldStart..<output.count))
            } else {
                try passUnknownField(type)
            }
            path.removeLast()
        }
        sort(parts, from: start)
    }

    private mutating func passUnknownField(_ type: MessageType) throws(JSONError) {
        guard options.ignoreUnknownFields else {
            throw JSONError(
                .unknownField, "\(type.name) has no such field; correct its name or set ignoreUnknownFields")
        }
        try reader.skipValue(depth: depth)
    }

    /// Puts the parts of ``output`` from `start` on into the order of their keys.
    private mutating func sort<Key>(_ parts: [Part<Key>], from start: Int) {
        guard zip(parts, parts.dropFirst()).contains(where: { $0.key > $1.key }) else { return }
        let unsorted = Array(output[start...])
        output.removeSubrange(start...)
        for part in parts.sorted(by: { $0.key < $1.key }) {
            output += unsorted[part.range.lowerBound - start..<part.range.upperBound - start]
        }
    }

    // MARK: - Fields

    /// Appends a field with its tag, or nothing where it is absent.
    ///
    /// - Parameter oneofs: Those of which the message has a member.
    private mutating func field(_ field: Field, _ oneofs: inout Set<Int>) throws(JSONError) {
        let isSingular = field.cardinality == .implicit || field.cardinality == .explicit
        if try reader.peek() == .null, !(isSingular && field.kind.takesNull) { return try reader.null() }
        if let oneof = field.oneof, !oneofs.insert(oneof).inserted {
            throw JSONError(.invalidValue, "another member of the same oneof is there; leave one out")
        }
        switch field.cardinality {
        case .implicit, .explicit: try singular(field)
        case .repeated(let isPacked): try repeated(field, isPacked: isPacked)
        case .map: try map(field)
        }
    }

    private mutating func singular(_ field: Field) throws(JSONError) {
        let start = output.count
        output.appendTag(field.number, field.kind.wireType)
        let content = try value(field.kind)
        if content == .unknown || (content == .defaultValue && field.cardinality == .implicit) {
            output.removeSubrange(start...)
        }
    }

    private mutating func repeated(_ field: Field, isPacked: Bool) throws(JSONError) {
        let start = output.count
        if isPacked { output.appendTag(field.number, .bytes) }
        let firstElement = output.count
        try reader.beginArray()
        var index = 0
        while try reader.nextElement() {
            path.append(.index(index))
            let elementStart = output.count
            if !isPacked { output.appendTag(field.number, field.kind.wireType) }
            if try element(field.kind) == .unknown { output.removeSubrange(elementStart...) }
            path.removeLast()
            index += 1
        }
        guard isPacked else { return }
        if output.count == firstElement {
            output.removeSubrange(start...)
        } else {
            output.insertLength(at: firstElement)
        }
    }

    /// Appends a value that may not be null, unless null is one.
    private mutating func element(_ kind: Field.Kind) throws(JSONError) -> Content {
        if try reader.peek() == .null, !kind.takesNull {
            throw JSONError(.invalidValue, "null is no element of a list or map; leave it out")
        }
        return try value(kind)
    }

    private mutating func map(_ field: Field) throws(JSONError) {
        guard case .message(let entryType) = field.kind else { return }
        let (keyField, valueField) = (entryType.fields[0], entryType.fields[1])
        let start = output.count
        var entries: [Part<MapKey>] = []
        var keys: Set<MapKey> = []
        try reader.beginObject()
        while let name = try reader.nextName() {
            path.append(.key(name))
            try enter()
            let entryStart = output.count
            output.appendTag(field.number, .bytes)
            let contentStart = output.count
            let key = try mapKey(name, keyField)
            guard keys.insert(key).inserted else { throw JSONError(.invalidValue, "the key is there twice") }
            output.appendTag(valueField.number, valueField.kind.wireType)
            if try element(valueField.kind) == .unknown {
                output.removeSubrange(entryStart...)
            } else {
                output.insertLength(at: contentStart)
                entries.append(Part(key: key, range: entryStart..<output.count))
            }
            depth += 1
            path.removeLast()
        }
        sort(entries, from: start)
    }

    /// Appends a key's field.
    private mutating func mapKey(_ name: String, _ field: Field) throws(JSONError) -> MapKey {
        output.appendTag(field.number, field.kind.wireType)
        let text = Array(name.utf8)
        switch field.kind {
        case .string:
            output.appendVarint(UInt64(text.count))
            output += text
            return .string(text)
        case .bool:
            guard let bool = Bool(name) else {
                throw JSONError(.invalidValue, "a key \"true\" or \"false\" is expected")
            }
            output.append(bool ? 1 : 0)
            return .bool(bool)
        case .uint32, .fixed32, .uint64, .fixed64: return .unsigned(try unsigned(field.kind, NumberText(text)))
        default: return .signed(try signed(field.kind, NumberText(text)))
        }
    }

    // MARK: - Values

    /// What a value turned out to be.
    private enum Content {
        case value
        /// Zero, false or empty.
        case defaultValue
        /// The name of an enum value that the schema does not have, to be passed over. Nothing was appended.
        case unknown
    }

    /// Appends a value as it is behind its tag.
    private mutating func value(_ kind: Field.Kind) throws(JSONError) -> Content {
        switch kind {
        case .double: return try floatingPoint(Double.self, bits: \.bitPattern)
        case .float: return try floatingPoint(Float.self, bits: \.bitPattern)
        case .uint32, .fixed32, .uint64, .fixed64:
            return try unsigned(kind, numberText()) == 0 ? .defaultValue : .value
        case .int32, .sint32, .sfixed32, .int64, .sint64, .sfixed64:
            return try signed(kind, numberText()) == 0 ? .defaultValue : .value
        case .bool:
            let bool = try reader.bool()
            output.append(bool ? 1 : 0)
            return bool ? .value : .defaultValue
        case .string: return appendBytes(try reader.string())
        case .bytes:
            guard let bytes = Base64.decode(try reader.string()) else {
                throw JSONError(.invalidValue, "the string is not base64 (RFC 4648)")
            }
            return appendBytes(bytes)
        case .enumeration(let type): return try enumeration(type)
        case .message(let type):
            try nestedMessage(type)
            return .value
        }
    }

    private mutating func appendBytes(_ bytes: [UInt8]) -> Content {
        output.appendVarint(UInt64(bytes.count))
        output += bytes
        return bytes.isEmpty ? .defaultValue : .value
    }

    private mutating func enumeration(_ type: EnumType) throws(JSONError) -> Content {
        let number: Int32
        switch try reader.peek() {
        case .null where type.isNull:
            try reader.null()
            number = 0
        case .string:
            let name = String(decoding: try reader.string(), as: UTF8.self)
            guard let known = type.number(named: name) else {
                if options.ignoreUnknownFields { return .unknown }
                throw JSONError(
                    .invalidValue, "the enum has no value \"\(excerpt(name.utf8))\"; use one that the schema names")
            }
            number = known
        default: number = try integer(Int32.self, reader.number(), "int32")
        }
        output.appendVarint(UInt64(bitPattern: Int64(number)))
        return number == 0 ? .defaultValue : .value
    }

    /// A number, which may stand in quotes. Nil where the quotes hold something else.
    private mutating func numberText() throws(JSONError) -> NumberText? {
        guard try reader.peek() == .string else { return try reader.number() }
        return NumberText(try reader.string())
    }

    private mutating func signed(_ kind: Field.Kind, _ text: NumberText?) throws(JSONError) -> Int64 {
        let value: Int64
        switch kind {
        case .int32, .sint32, .sfixed32: value = Int64(try integer(Int32.self, text, "int32"))
        default: value = try integer(Int64.self, text, "int64")
        }
        switch kind {
        case .sint32, .sint64: output.appendVarint(UInt64(bitPattern: value << 1 ^ value >> 63))
        case .sfixed32: output.appendFixed(Int32(value))
        case .sfixed64: output.appendFixed(value)
        default: output.appendVarint(UInt64(bitPattern: value))
        }
        return value
    }

    private mutating func unsigned(_ kind: Field.Kind, _ text: NumberText?) throws(JSONError) -> UInt64 {
        switch kind {
        case .uint32, .fixed32:
            let value = try integer(UInt32.self, text, "uint32")
            if kind.wireType == .fixed32 { output.appendFixed(value) } else { output.appendVarint(UInt64(value)) }
            return UInt64(value)
        default:
            let value = try integer(UInt64.self, text, "uint64")
            if kind.wireType == .fixed64 { output.appendFixed(value) } else { output.appendVarint(value) }
            return value
        }
    }

    private func integer<Integer: FixedWidthInteger>(
        _ type: Integer.Type, _ text: NumberText?, _ name: String
    ) throws(JSONError) -> Integer {
        guard let text else { throw JSONError(.invalidValue, "the string is not a number, as \(name) needs") }
        guard let value = text.integer(type) else {
            throw JSONError(
                .invalidValue,
                "\(text.description) is not an \(name): an integer from \(Integer.min) to \(Integer.max) is expected")
        }
        return value
    }

    private mutating func floatingPoint<Value, Bits: FixedWidthInteger>(
        _ type: Value.Type, bits: (Value) -> Bits
    ) throws(JSONError) -> Content where Value: BinaryFloatingPoint & LosslessStringConvertible {
        let value: Value
        if try reader.peek() == .string {
            value = try floatingPoint(type, named: try reader.string())
        } else {
            value = try floatingPoint(type, reader.number())
        }
        output.appendFixed(bits(value))
        // -0 is another value than the default.
        return bits(value) == 0 ? .defaultValue : .value
    }

    private func floatingPoint<Value: BinaryFloatingPoint & LosslessStringConvertible>(
        _ type: Value.Type, named text: [UInt8]
    ) throws(JSONError) -> Value {
        switch String(decoding: text, as: UTF8.self) {
        case "NaN": return .nan
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        default:
            guard let number = NumberText(text) else {
                throw JSONError(
                    .invalidValue, "a number is expected, or \"NaN\", \"Infinity\" or \"-Infinity\" in quotes")
            }
            return try floatingPoint(type, number)
        }
    }

    private func floatingPoint<Value: BinaryFloatingPoint & LosslessStringConvertible>(
        _ type: Value.Type, _ text: NumberText
    ) throws(JSONError) -> Value {
        guard let value = text.floatingPoint(type) else {
            throw JSONError(
                .invalidValue,
                "\(text.description) is beyond \(type == Float.self ? "float" : "double"), "
                    + "whose largest is \(Value.greatestFiniteMagnitude)")
        }
        return value
    }

    // MARK: - Well-known types

    private mutating func time(
        _ parse: ([UInt8]) -> TimeParts?, _ expectation: String
    ) throws(JSONError) {
        let text = try reader.string()
        guard let time = parse(text) else {
            throw JSONError(.invalidValue, "\(expectation) is expected, not \"\(excerpt(text))\"")
        }
        for (number, value) in [(1 as UInt32, time.seconds), (2, Int64(time.nanos))] where value != 0 {
            output.appendTag(number, .varint)
            output.appendVarint(UInt64(bitPattern: value))
        }
    }

    private mutating func fieldMask() throws(JSONError) {
        let text = try reader.string()
        guard !text.isEmpty else { return }
        for path in text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            guard let path = FieldMaskText.snakeCase(path) else {
                throw JSONError(
                    .invalidValue, "\"\(excerpt(path))\" has an underscore; write the path in lowerCamelCase")
            }
            output.appendField(1, path)
        }
    }

    private mutating func dynamicValue(_ type: MessageType) throws(JSONError) {
        let number: UInt32 =
            switch try reader.peek() {
            case .null: 1
            case .number: 2
            case .string: 3
            case .bool: 4
            case .object: 5
            case .array: 6
            }
        guard let index = type.index(numbered: number) else { return }
        try singular(type.fields[index])
    }

    // MARK: - Any

    private static let typeMember = "@type"
    /// How many times the text may be looked through: an Any within an Any is looked through again for each, which
    /// would let a text take a hundred times as long as others of its size.
    private static let lookAheadLimit = 8

    private mutating func any() throws(JSONError) {
        guard let url = try typeURL() else {
            try reader.beginObject()
            guard try reader.nextName() == nil else {
                throw JSONError(.invalidValue, "an Any needs its type's URL in the member \"@type\"")
            }
            return
        }
        let type = try anyType(of: url, types: options.types, fileTypes)
        output.appendField(1, url)
        let start = output.count
        output.appendTag(2, .bytes)
        let contentStart = output.count
        if type.form == .object { try object(type, isAny: true) } else { try anyValue(type) }
        if output.count == contentStart {
            output.removeSubrange(start...)
        } else {
            output.insertLength(at: contentStart)
        }
    }

    /// Looks ahead for the member `@type`, which may stand anywhere; nil where there is none.
    private mutating func typeURL() throws(JSONError) -> [UInt8]? {
        var scout = reader
        try scout.beginObject()
        var url: [UInt8]?
        while url == nil, let name = try scout.nextName() {
            if name == Self.typeMember { url = try scout.string() } else { try scout.skipValue(depth: depth) }
        }
        lookedAhead += scout.index - reader.index
        guard lookedAhead <= Self.lookAheadLimit * reader.count else {
            throw JSONError(.tooLarge, "too much stands before the members \"@type\"; write them first")
        }
        return url
    }

    /// The members `@type` and `value` of an Any whose message is no object in JSON.
    private mutating func anyValue(_ type: MessageType) throws(JSONError) {
        var hasType = false
        var hasValue = false
        try reader.beginObject()
        while let name = try reader.nextName() {
            if name == Self.typeMember {
                try passType(&hasType)
                continue
            }
            path.append(.field(name))
            if name == "value" {
                guard !hasValue else { throw JSONError(.invalidValue, "the field is there twice") }
                hasValue = true
                try enter()
                try message(type)
                depth += 1
            } else {
                try passUnknownField(type)
            }
            path.removeLast()
        }
        guard hasValue else { throw JSONError(.invalidValue, "an Any of \(type.name) needs the member \"value\"") }
    }

    private mutating func passType(_ hasType: inout Bool) throws(JSONError) {
        guard !hasType else { throw JSONError(.invalidValue, "the member \"@type\" is there twice") }
        hasType = true
        _ = try reader.string()
    }
}

/// The type of an Any's message.
func anyType(of url: [UInt8], types: JSONTypeRegistry, _ fileTypes: FileTypes) throws(JSONError) -> MessageType {
    let url = String(decoding: url, as: UTF8.self)
    guard let slash = url.utf8.lastIndex(of: UInt8(ascii: "/")) else {
        throw JSONError(
            .invalidValue, "\"\(excerpt(url.utf8))\" is no URL of a type, as \"type.googleapis.com/shop.Order\" is")
    }
    let name = String(url[url.utf8.index(after: slash)...])
    guard let type = fileTypes.message(name) ?? types.message(name) else {
        throw JSONError(.unknownType, "no known file declares \"\(excerpt(name.utf8))\"; add its file to `types`")
    }
    return type
}
