/// A number as its text has it (RFC 8259, 6): no digit is lost before its field's type is known.
struct NumberText {
    private let text: ArraySlice<UInt8>

    /// The number that is the whole of `text`; nil where that is none.
    init?(_ text: [UInt8]) {
        var index = 0
        guard let number = NumberText.scan(text, from: &index), index == text.count else { return nil }
        self = number
    }

    private init(_ text: ArraySlice<UInt8>) { self.text = text }

    /// The number at `index`, which is moved behind it.
    static func scan(_ text: [UInt8], from index: inout Int) -> NumberText? {
        let start = index
        if index < text.count, text[index] == UInt8(ascii: "-") { index += 1 }
        let first = index
        guard skipDigits(text, &index), text[first] != UInt8(ascii: "0") || index == first + 1 else { return nil }
        if index < text.count, text[index] == UInt8(ascii: ".") {
            index += 1
            guard skipDigits(text, &index) else { return nil }
        }
        if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < text.count, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+") { index += 1 }
            guard skipDigits(text, &index) else { return nil }
        }
        return NumberText(text[start..<index])
    }

    private static func skipDigits(_ text: [UInt8], _ index: inout Int) -> Bool {
        let start = index
        while index < text.count, isDigit(text[index]) { index += 1 }
        return index > start
    }

    /// The text, for messages.
    var description: String { excerpt(text) }

    /// The value, exactly; nil where it has a fraction or is out of the type's range.
    func integer<Integer: FixedWidthInteger>(_: Integer.Type) -> Integer? {
        let isNegative = text.first == UInt8(ascii: "-")
        let mantissa = text.prefix { $0 | 0x20 != UInt8(ascii: "e") }
        let fraction = mantissa.firstIndex(of: UInt8(ascii: ".")).map { mantissa.endIndex - $0 - 1 } ?? 0
        var digits = mantissa.filter(isDigit).drop { $0 == UInt8(ascii: "0") }
        var exponent = Self.exponent(text.dropFirst(mantissa.count + 1)) - fraction
        while exponent < 0, digits.last == UInt8(ascii: "0") {
            digits.removeLast()
            exponent += 1
        }
        guard !digits.isEmpty else { return 0 }
        let longest = 20
        guard exponent >= 0, digits.count + exponent <= longest else { return nil }
        var value: Integer = 0
        for digit in digits + Array(repeating: UInt8(ascii: "0"), count: exponent) {
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let digit = Integer(digit - UInt8(ascii: "0"))
            let (sum, carries) =
                isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !isTooLarge, !carries else { return nil }
            value = sum
        }
        return value
    }

    /// An exponent, held to a range in which sums with lengths do not overflow.
    private static func exponent(_ text: ArraySlice<UInt8>) -> Int {
        let bound = 1 << 40
        let magnitude = text.reduce(0) { isDigit($1) ? min($0 * 10 + Int($1 - UInt8(ascii: "0")), bound) : $0 }
        return text.first == UInt8(ascii: "-") ? -magnitude : magnitude
    }

    /// The nearest value; nil where that is infinite.
    func floatingPoint<Value: BinaryFloatingPoint & LosslessStringConvertible>(_: Value.Type) -> Value? {
        Value(String(decoding: text, as: UTF8.self)).flatMap { $0.isFinite ? $0 : nil }
    }
}

@inline(__always)
func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
