/// Writes JSON, on one line or indented.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    private let isPretty: Bool
    private var level = 0
    /// Whether something stands before the next member or element.
    private var needsComma = false

    init(isPretty: Bool) { self.isPretty = isPretty }

    mutating func beginObject() { begin(UInt8(ascii: "{")) }
    mutating func endObject() { end(UInt8(ascii: "}")) }
    mutating func beginArray() { begin(UInt8(ascii: "[")) }
    mutating func endArray() { end(UInt8(ascii: "]")) }

    /// Begins a member of an object; its value follows.
    mutating func member(_ name: String) {
        element()
        string(name.utf8)
        bytes.append(UInt8(ascii: ":"))
        if isPretty { bytes.append(UInt8(ascii: " ")) }
    }

    /// Begins an element of an array; its value follows.
    mutating func element() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        breakLine()
    }

    /// A number, or what else is JSON as it is.
    mutating func literal(_ text: String) {
        bytes += text.utf8
        needsComma = true
    }

    /// A string; `utf8` is valid UTF-8.
    mutating func string(_ utf8: some Collection<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x08: bytes += "\\b".utf8
            case 0x09: bytes += "\\t".utf8
            case 0x0a: bytes += "\\n".utf8
            case 0x0c: bytes += "\\f".utf8
            case 0x0d: bytes += "\\r".utf8
            case ..<0x20:
                bytes += (byte < 0x10 ? "\\u000" : "\\u00").utf8
                bytes += String(byte, radix: 16).utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    private mutating func begin(_ bracket: UInt8) {
        bytes.append(bracket)
        level += 1
        needsComma = false
    }

    private mutating func end(_ bracket: UInt8) {
        level -= 1
        if needsComma { breakLine() }
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func breakLine() {
        guard isPretty else { return }
        bytes.append(0x0a)
        bytes.append(contentsOf: repeatElement(0x20, count: 2 * level))
    }
}
