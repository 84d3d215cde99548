extension String {
    /// A line of an error has room for so many characters of a name or an id.
    private static let longestQuote = 80

    /// Text of others for a line of an error: in quotes, cut where it is long, and with escapes for what could split or
    /// disguise the line.
    package var quoted: String {
        var text = ""
        for scalar in unicodeScalars.prefix(Self.longestQuote) {
            text += scalar == "'" || scalar == "\\" ? "\\\(scalar)" : Self.escaped(scalar)
        }
        let isCut = unicodeScalars.dropFirst(Self.longestQuote).first != nil
        return isCut ? "'\(text)'... of \(utf8.count) bytes" : "'\(text)'"
    }

    /// The text with escapes for what could split or disguise a line.
    package var inOneLine: String {
        unicodeScalars.reduce(into: "") { $0 += Self.escaped($1) }
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: scalar.escaped(asASCII: true)
        default: String(scalar)
        }
    }
}
