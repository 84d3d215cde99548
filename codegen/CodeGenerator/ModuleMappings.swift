/// Which Swift module has the code of which `.proto` file, as the file behind `ProtoPathModuleMappings` says in
/// protobuf's text format:
///
///     mapping { module_name: "Shop" proto_file_path: "shop/v1/cart.proto" proto_file_path: "shop/v1/item.proto" }
struct ModuleMappings: Equatable {
    private var modules: [String: String] = [:]

    /// No file is anywhere else.
    init() {}

    /// - Parameter path: Where the text was read, for errors.
    init(_ text: String, path: String) throws(GeneratorError) {
        var parser = ModuleMappingsParser(text, path: path)
        while let mapping = try parser.nextMapping() {
            for file in mapping.files { try add(file.text, mapping.module, at: "\(path):\(file.line)") }
        }
    }

    var isEmpty: Bool { modules.isEmpty }

    /// The module of a file; nil where no mapping names it.
    subscript(_ file: String) -> String? { modules[file] }

    private mutating func add(_ file: String, _ module: String, at place: String) throws(GeneratorError) {
        if let other = modules.updateValue(module, forKey: file), other != module {
            throw GeneratorError("\(place): '\(file)' is already in the module '\(other)'; leave it in one of them")
        }
    }
}

/// Reads mappings, one after the other.
private struct ModuleMappingsParser {
    private let path: String
    private var tokens: TextFormatTokens
    private var token: TextFormatTokens.Token?

    init(_ text: String, path: String) {
        self.path = path
        tokens = TextFormatTokens(text)
        token = tokens.next()
    }

    struct Text {
        let text: String
        let line: Int
    }

    mutating func nextMapping() throws(GeneratorError) -> (module: String, files: [Text])? {
        guard let start = token else { return nil }
        guard take("mapping") else { throw wrong("a 'mapping { ... }'") }
        _ = take(":")
        guard take("{") || take("<") else { throw wrong("'{' after 'mapping'") }
        var modules: [Text] = []
        var files: [Text] = []
        while !(take("}") || take(">")) {
            if take("module_name") {
                modules += try values()
            } else if take("proto_file_path") {
                files += try values()
            } else {
                throw wrong("module_name, proto_file_path or '}'")
            }
        }
        endField()
        guard modules.count == 1, Naming.isIdentifier(modules[0].text) else {
            throw GeneratorError("\(path):\(start.line): a mapping needs one module_name, the name of a Swift module")
        }
        return (modules[0].text, files)
    }

    /// What follows a field's name: a string, or a list of them.
    private mutating func values() throws(GeneratorError) -> [Text] {
        guard take(":") else { throw wrong("':'") }
        var values: [Text] = []
        if take("[") {
            while !take("]") {
                values.append(try string())
                if token?.text != "]", !take(",") { throw wrong("',' or ']'") }
            }
        } else {
            values.append(try string())
        }
        endField()
        return values
    }

    /// Strings that follow each other are one.
    private mutating func string() throws(GeneratorError) -> Text {
        guard let first = token, first.kind == .string else { throw wrong("a string in quotes") }
        var text = ""
        while let part = token, part.kind == .string {
            text += part.text
            token = tokens.next()
        }
        return Text(text: text, line: first.line)
    }

    /// A comma or semicolon may stand behind a field.
    private mutating func endField() { _ = take(",") || take(";") }

    private mutating func take(_ text: String) -> Bool {
        guard let found = token, found.kind == .other, found.text == text else { return false }
        token = tokens.next()
        return true
    }

    private func wrong(_ expected: String) -> GeneratorError {
        guard let token else { return GeneratorError("\(path):\(tokens.line): the file ends where \(expected) is due") }
        if token.kind == .unfinished { return GeneratorError("\(path):\(token.line): a quote has no end on its line") }
        return GeneratorError("\(path):\(token.line): '\(token.text)' stands where \(expected) is due")
    }
}

/// The words, marks and strings of a text in protobuf's text format.
private struct TextFormatTokens {
    struct Token {
        enum Kind { case string, other, unfinished }
        let kind: Kind
        /// Of a string, what is between its quotes.
        let text: String
        let line: Int
    }

    private var rest: Substring.UnicodeScalarView
    private(set) var line = 1

    init(_ text: String) { rest = text[...].unicodeScalars }

    mutating func next() -> Token? {
        skipSpace()
        guard let first = rest.popFirst() else { return nil }
        if first == "\"" || first == "'" { return string(until: first) }
        var text = String(first)
        if Self.isWord(first) {
            while let scalar = rest.first, Self.isWord(scalar) { text.unicodeScalars.append(rest.removeFirst()) }
        }
        return Token(kind: .other, text: text, line: line)
    }

    private mutating func skipSpace() {
        while let scalar = rest.first, scalar == "#" || scalar.properties.isWhitespace {
            if scalar == "#" { while let next = rest.first, next != "\n" { rest.removeFirst() } }
            if rest.popFirst() == "\n" { line += 1 }
        }
    }

    /// A backslash keeps the quote or backslash behind it from its meaning; paths and modules need no other escapes.
    private mutating func string(until quote: Unicode.Scalar) -> Token {
        var text = ""
        while let scalar = rest.first, scalar != "\n" {
            rest.removeFirst()
            if scalar == quote { return Token(kind: .string, text: text, line: line) }
            text.unicodeScalars.append(scalar == "\\" ? rest.popFirst() ?? scalar : scalar)
        }
        return Token(kind: .unfinished, text: text, line: line)
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }
}
