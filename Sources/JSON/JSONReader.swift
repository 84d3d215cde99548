/// Reads JSON (RFC 8259) strictly: nothing is taken that the grammar does not have.
struct JSONReader {
    private let text: [UInt8]
    /// Bytes read so far.
    private(set) var index = 0
    /// Right behind the opening bracket of an object or array.
    private var isFirst = false

    init(_ text: [UInt8]) { self.text = text }

    /// Bytes of the whole text.
    var count: Int { text.count }

    /// What a value begins with.
    enum Kind: String {
        case object = "an object"
        case array = "an array"
        case string = "a string"
        case number = "a number"
        case bool = "a boolean"
        case null = "null"
    }

    /// The kind of the next value.
    mutating func peek() throws(JSONError) -> Kind {
        skipSpace()
        guard index < text.count else { throw malformed("the text ends where a value is expected") }
        switch text[index] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        default: throw malformed("a value is expected")
        }
    }

    private mutating func expect(_ kind: Kind) throws(JSONError) {
        let found = try peek()
        guard found == kind else {
            throw JSONError(.invalidValue, "\(kind.rawValue) is expected, not \(found.rawValue)")
        }
    }

    // MARK: - Objects and arrays

    mutating func beginObject() throws(JSONError) {
        try expect(.object)
        index += 1
        isFirst = true
    }

    /// The name of the object's next member, with the reader at its value; nil behind the object's end.
    mutating func nextName() throws(JSONError) -> String? {
        guard try next(before: UInt8(ascii: "}"), "a comma or a closing brace is expected") else { return nil }
        guard index < text.count, text[index] == UInt8(ascii: "\"") else {
            throw malformed("a member's name is expected, in double quotes")
        }
        let name = try string()
        skipSpace()
        guard index < text.count, text[index] == UInt8(ascii: ":") else {
            throw malformed("a colon is expected behind a member's name")
        }
        index += 1
        return String(decoding: name, as: UTF8.self)
    }

    mutating func beginArray() throws(JSONError) {
        try expect(.array)
        index += 1
        isFirst = true
    }

    /// Whether the array has another element, with the reader at it; else the reader is behind the array's end.
    mutating func nextElement() throws(JSONError) -> Bool {
        try next(before: UInt8(ascii: "]"), "a comma or a closing bracket is expected")
    }

    private mutating func next(before end: UInt8, _ expectation: String) throws(JSONError) -> Bool {
        skipSpace()
        guard index < text.count else { throw malformed("the text ends within an object or array") }
        let wasFirst = isFirst
        isFirst = false
        if text[index] == end {
            index += 1
            return false
        }
        if wasFirst { return true }
        guard text[index] == UInt8(ascii: ",") else { throw malformed(expectation) }
        index += 1
        skipSpace()
        return true
    }

    // MARK: - Values

    mutating func null() throws(JSONError) {
        try expect(.null)
        try literal("null")
    }

    mutating func bool() throws(JSONError) -> Bool {
        try expect(.bool)
        let isTrue = text[index] == UInt8(ascii: "t")
        try literal(isTrue ? "true" : "false")
        return isTrue
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) {
        let bytes = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard text[index...].starts(with: bytes) else { throw malformed("\(word) is expected") }
        index += bytes.count
    }

    mutating func number() throws(JSONError) -> NumberText {
        try expect(.number)
        guard let number = NumberText.scan(text, from: &index) else { throw malformed("a number is expected") }
        return number
    }

    /// A string's value in UTF-8.
    mutating func string() throws(JSONError) -> [UInt8] {
        try expect(.string)
        index += 1
        var value: [UInt8] = []
        while true {
            let start = index
            while index < text.count, !Self.endsRun(text[index]) { index += 1 }
            value += text[start..<index]
            guard index < text.count else { throw malformed("the text ends within a string") }
            switch text[index] {
            case UInt8(ascii: "\""):
                index += 1
                guard isValidUTF8(value[...]) else { throw malformed("a string is not valid UTF-8") }
                return value
            case UInt8(ascii: "\\"):
                index += 1
                try escape(&value)
            default: throw malformed("a control character in a string must be escaped")
            }
        }
    }

    private static func endsRun(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20
    }

    private mutating func escape(_ value: inout [UInt8]) throws(JSONError) {
        guard index < text.count else { throw malformed("the text ends within a string") }
        let byte = text[index]
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): value.append(byte)
        case UInt8(ascii: "b"): value.append(0x08)
        case UInt8(ascii: "f"): value.append(0x0c)
        case UInt8(ascii: "n"): value.append(0x0a)
        case UInt8(ascii: "r"): value.append(0x0d)
        case UInt8(ascii: "t"): value.append(0x09)
        case UInt8(ascii: "u"): try value.append(contentsOf: unicodeEscape().utf8)
        default: throw malformed("JSON has no such escape")
        }
    }

    private mutating func unicodeEscape() throws(JSONError) -> String {
        let unit = try hexadecimal()
        if let scalar = Unicode.Scalar(unit) { return String(scalar) }
        guard unit < 0xdc00, text[index...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
            throw malformed("half of a surrogate pair stands alone")
        }
        index += 2
        let low = try hexadecimal()
        guard 0xdc00..<0xe000 ~= low else { throw malformed("half of a surrogate pair stands alone") }
        let scalar = 0x10000 + (UInt32(unit - 0xd800) << 10 | UInt32(low - 0xdc00))
        // Two halves make a scalar always.
        return String(Unicode.Scalar(scalar)!)
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt16 {
        let digits = text[index...].prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw malformed("four hexadecimal digits are expected behind \\u") }
        index += 4
        return value
    }

    /// Passes over a value that is well-formed and nested at most `depth` levels.
    mutating func skipValue(depth: Int) throws(JSONError) {
        switch try peek() {
        case .null: try null()
        case .bool: _ = try bool()
        case .number: _ = try number()
        case .string: _ = try string()
        case .array:
            guard depth > 0 else { throw JSONError(.tooDeep, "arrays and objects are nested too deep") }
            try beginArray()
            while try nextElement() { try skipValue(depth: depth - 1) }
        case .object:
            guard depth > 0 else { throw JSONError(.tooDeep, "arrays and objects are nested too deep") }
            try beginObject()
            while try nextName() != nil { try skipValue(depth: depth - 1) }
        }
    }

    /// Checks that nothing follows.
    mutating func finish() throws(JSONError) {
        skipSpace()
        guard index == text.count else { throw malformed("nothing may follow the message") }
    }

    private mutating func skipSpace() {
        while index < text.count {
            switch text[index] {
            case 0x20, 0x09, 0x0a, 0x0d: index += 1
            default: return
            }
        }
    }

    private func malformed(_ reason: String) -> JSONError {
        let before = text[..<min(index, text.count)]
        let line = before.count { $0 == 0x0a } + 1
        let column = before.count - (before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0) + 1
        return JSONError(.malformed, "\(reason) (line \(line), column \(column))")
    }
}

func isValidUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
    (try? UTF8Span(validating: bytes.span)) != nil
}
