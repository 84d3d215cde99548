/// What a JSON scanner found wrong, in words that follow "its header ".
struct JSONFault: Error {
    let reason: String
}

/// Reads the JSON of a safetensors header from bytes that anyone may have written.
///
/// It knows what such a header is made of, objects, arrays, strings and unsigned integers, and refuses everything else.
/// Whoever reads a header says at each place what must come, so nesting is bounded by the caller's own code.
struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Reads an object and hands each key to `member`, which must read its value.
    mutating func object(
        longestKey: Int, _ member: (inout JSONScanner, String) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        try expect("{")
        if accept("}") { return }
        repeat {
            let key = try string(longest: longestKey)
            try expect(":")
            try member(&self, key)
        } while accept(",")
        try expect("}")
    }

    /// Reads an array of at most `longest` unsigned integers.
    mutating func integers(longest: Int) throws(JSONFault) -> [UInt64] {
        var result: [UInt64] = []
        try expect("[")
        if accept("]") { return result }
        repeat {
            guard result.count < longest else { throw fault("has a list of more than \(longest) numbers") }
            result.append(try integer())
        } while accept(",")
        try expect("]")
        return result
    }

    /// Reads a string whose text takes at most `longest` bytes of UTF-8.
    mutating func string(longest: Int) throws(JSONFault) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while true {
            guard let byte = next() else { throw fault("ends inside a string") }
            switch byte {
            case UInt8(ascii: "\""):
                guard let result = String(validating: text, as: UTF8.self) else {
                    throw fault("holds a string that is not UTF-8")
                }
                return result
            case UInt8(ascii: "\\"):
                try escape(into: &text)
            case 0..<0x20:
                throw fault("holds a control character inside a string")
            default:
                text.append(byte)
            }
            guard text.count <= longest else { throw fault("holds a string of more than \(longest) bytes") }
        }
    }

    /// Nothing but spaces may follow.
    mutating func end() throws(JSONFault) {
        skipSpaces()
        guard position == bytes.count else { throw fault("goes on after its end") }
    }

    private mutating func integer() throws(JSONFault) -> UInt64 {
        skipSpaces()
        let start = position
        var value: UInt64 = 0
        while position < bytes.count, case let byte = bytes[position], byte >= UInt8(ascii: "0"),
            byte <= UInt8(ascii: "9")
        {
            let (scaled, scaleOverflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflow) = scaled.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !scaleOverflow, !sumOverflow else { throw fault("holds a number that does not fit 64 bits") }
            value = sum
            position += 1
        }
        guard position > start else { throw fault("lacks an unsigned integer") }
        guard position == start + 1 || bytes[start] != UInt8(ascii: "0") else {
            throw fault("holds a number that starts with 0")
        }
        return value
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONFault) {
        guard let kind = next() else { throw fault("ends inside a string") }
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(try unicodeEscape()).utf8)
        default: throw fault("holds an unknown escape in a string")
        }
    }

    private mutating func unicodeEscape() throws(JSONFault) -> Character {
        var value = try hexadecimal()
        if value & 0xfc00 == 0xd800, next() == UInt8(ascii: "\\"), next() == UInt8(ascii: "u") {
            let low = try hexadecimal()
            guard low & 0xfc00 == 0xdc00 else { throw fault("holds half a surrogate pair") }
            value = 0x10000 + (value - 0xd800) << 10 + (low - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw fault("holds half a surrogate pair") }
        return Character(scalar)
    }

    private mutating func hexadecimal() throws(JSONFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next(), let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw fault("holds a bad \\u escape in a string")
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(JSONFault) {
        guard accept(character) else { throw fault("lacks '\(character)'") }
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        skipSpaces()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func next() -> UInt8? {
        guard position < bytes.count else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func skipSpaces() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0a, 0x0d: position += 1
            default: return
            }
        }
    }

    private func fault(_ reason: String) -> JSONFault {
        JSONFault(reason: "\(reason) (at byte \(position) of its JSON)")
    }
}
