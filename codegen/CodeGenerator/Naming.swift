/// Swift names for names in a `.proto` file, by the rules that users of protoc-gen-swift know.
enum Naming {
    /// `product_id` becomes `productID`; escaped where Swift reserves the word.
    static func property(_ name: String) -> String {
        let camel = lowerCamelCase(name)
        if reservedProperties.contains(camel) { return camel + "_p" }
        return escaped(camel)
    }

    /// A member of a oneof, which is an Optional: the names of that one's own cases would stand for either.
    static func oneofMember(_ name: String) -> String {
        let property = property(name)
        return property == "none" || property == "some" ? property + "_p" : property
    }

    /// `GetById` becomes `getByID`.
    static func method(_ name: String) -> String {
        let camel = lowerCamelCase(name)
        return reservedMethods.contains(camel) ? camel + "_" : escaped(camel)
    }

    /// A message's, enum's or service's name, with a capital: a field may have the same name without. `suffix` is put
    /// behind it where Swift, the generated code or what has one of the names `taken` needs the name itself. What has
    /// such a name with the suffix already gets another: no two names become one.
    static func type(_ original: String, suffix: String, taken: Set<String> = []) -> String {
        let underscores = original.prefix { $0 == "_" }
        let letters = original.dropFirst(underscores.count)
        let name = String(underscores) + letters.prefix(1).uppercased() + letters.dropFirst()
        var stem = name[...]
        while stem.hasSuffix(suffix), stem != suffix { stem = stem.dropLast(suffix.count) }
        let isTaken = [String(stem), name].contains {
            reservedTypes.contains($0) || keywords.contains($0) || taken.contains($0)
        }
        return isTaken ? name + suffix : name
    }

    /// `RETRIEVAL_PATH_LIST` of `RetrievalPath` becomes `list`.
    static func enumValue(_ name: String, of enumName: String) -> String {
        let prefix = words(enumName).map { $0.uppercased() }.joined(separator: "_") + "_"
        let rest = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : ""
        let camel = lowerCamelCase(isIdentifier(rest) ? rest : name)
        if reservedEnumValues.contains(camel) { return camel + "_" }
        return escaped(camel)
    }

    /// `fletch.v1` becomes `Fletch_V1_`.
    static func prefix(package: String) -> String {
        package.split(separator: ".").map { upperCamelCase(String($0)) + "_" }.joined()
    }

    /// `product_id` becomes `productID`.
    static func lowerCamelCase(_ name: String) -> String { camelCase(name, upper: false) }

    /// `product_id` becomes `ProductID`.
    static func upperCamelCase(_ name: String) -> String { camelCase(name, upper: true) }

    static func escaped(_ name: String) -> String { keywords.contains(name) ? "`\(name)`" : name }

    static func isIdentifier(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= first) else { return false }
        return name.unicodeScalars.allSatisfy { $0 == "_" || ($0.isASCII && $0.properties.isAlphabetic) || isDigit($0) }
    }

    private static func camelCase(_ name: String, upper: Bool) -> String {
        let leading = String(name.prefix { $0 == "_" })
        let parts = words(name).enumerated().map { index, word in
            if index == 0 && !upper { return word.lowercased() }
            return acronyms.contains(word.lowercased())
                ? word.uppercased() : word.prefix(1).uppercased() + word.dropFirst().lowercased()
        }
        return leading + parts.joined()
    }

    /// The words of a name: ended by underscores and digits, begun by a capital after a small letter. Digits belong
    /// to the word before them.
    static func words(_ name: String) -> [String] {
        var words: [String] = []
        var word = ""
        var previous: Unicode.Scalar = "_"
        for scalar in name.unicodeScalars {
            let startsWord =
                (isDigit(previous) && !isDigit(scalar))
                || (scalar.properties.isUppercase && previous.properties.isLowercase)
            if (scalar == "_" || startsWord) && !word.isEmpty {
                words.append(word)
                word = ""
            }
            if scalar != "_" { word.unicodeScalars.append(scalar) }
            previous = scalar
        }
        return word.isEmpty ? words : words + [word]
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

    private static let acronyms: Set<String> = ["id", "url", "http", "https"]

    /// Words that Swift takes as names only in backticks.
    private static let keywords: Set<String> = [
        "Any", "Self", "actor", "any", "as", "associatedtype", "async", "await", "borrowing", "break", "case", "catch",
        "class", "consuming", "continue", "default", "defer", "deinit", "didSet", "do", "each", "else", "enum",
        "extension",
        "fallthrough", "false", "fileprivate", "for", "func", "guard", "if", "import", "in", "init", "inout",
        "internal", "is", "isolated", "let", "nil", "nonisolated", "open", "operator", "package", "precedencegroup",
        "private", "protocol", "public", "repeat", "rethrows", "return", "self", "sending", "some", "static", "struct",
        "subscript", "super", "switch", "throw", "throws", "true", "try", "typealias", "var", "where", "while",
        "willSet",
    ]

    /// Members that generated messages have beside their fields.
    private static let reservedProperties: Set<String> = [
        "_", "_arena", "_pointer", "_stride", "copy", "debugDescription", "descriptor", "encoded",
        "encodedInArena", "encodedSize", "hashValue", "unknownFields", "view", "init", "self", "Type",
    ]

    /// Members that generated enums have beside their values.
    private static let reservedEnumValues: Set<String> = ["_", "_stride", "allCases", "init", "self", "Type"]

    /// Names that Swift gives a meaning behind a dot, even in backticks.
    private static let reservedMethods: Set<String> = ["_", "init", "self", "Type"]

    /// Types that generated code names, declares within messages and services, or takes as parameters, and names that
    /// mean something else behind a dot. A test compares them with generated code.
    private static let reservedTypes: Set<String> = [
        "Arena", "Array", "AsyncCall", "BodyResult", "Bool", "Builder", "CallOptions", "CaseIterable", "ClientChannel",
        "DecodeLimits", "Dictionary", "Double", "Enumeration", "FieldDefinition", "FileDescriptor", "FletchRPC",
        "FletchWellKnownTypes", "FletchWire", "Float", "Hashable", "Indirect", "Int", "Int32", "Int64", "Message",
        "MessageAppender", "MessageBuilder", "MessageDefinition", "MessageDescriptor", "MessageView", "Method", "Path",
        "Protocol", "RPCError", "RepeatedView", "RequestStream", "RequestWriter", "ResponseStream", "ResponseWriter",
        "Sendable", "Service", "ServiceDescriptor", "StaticString", "String", "Swift", "Type", "UInt32", "UInt64",
        "UInt8", "UnaryCall", "UnknownFields", "UnsafeMutableRawPointer", "UnsafeRawPointer", "Value", "ValueAppender",
        "Void",
        "View", "WireBytes", "_",
    ]
}
