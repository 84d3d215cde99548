/// Identifies what the schema of a `.proto` file means on the wire, in JSON and in generated code.
///
/// The hash of a canonical text: a line for each fact about what the file declares and every type that this needs, in
/// whichever file that is. codegen/README.md defines it, and `Tests/EndToEnd/fingerprint.py` computes it from that
/// definition.
struct Fingerprint {
    private var messages: [String: DescriptorProto] = [:]
    private var enums: [String: EnumDescriptorProto] = [:]

    /// - Parameter files: Those to be identified and all that they import.
    init(_ files: [FileDescriptorProto]) {
        for file in files {
            let scope = Self.scope(of: file)
            for message in file.messageType { add(message, scope) }
            for enumeration in file.enumType { enums[scope + enumeration.name] = enumeration }
        }
    }

    private mutating func add(_ message: DescriptorProto, _ scope: String) {
        let name = scope + message.name
        messages[name] = message
        for nested in message.nestedType { add(nested, name + ".") }
        for nested in message.enumType { enums["\(name).\(nested.name)"] = nested }
    }

    /// 16 hexadecimal digits.
    func of(_ file: FileDescriptorProto) -> String { Self.hash(text(of: file)) }

    /// The canonical text, each line with its end.
    func text(of file: FileDescriptorProto) -> String {
        let scope = Self.scope(of: file)
        var lines: [String] = []
        var pending = file.messageType.flatMap { Self.declared($0, scope) } + file.enumType.map { scope + $0.name }
        for service in file.service {
            lines.append("service \(scope)\(service.name)")
            for method in service.method {
                lines.append(Self.line(of: method, in: scope + service.name))
                pending += [method.inputType, method.outputType].map(Self.withoutDot)
            }
        }
        var described: Set<String> = []
        while let type = pending.popLast() {
            guard described.insert(type).inserted else { continue }
            if let message = messages[type] {
                lines += Self.lines(of: message, type)
                pending += message.field.filter { !$0.typeName.isEmpty }.map { Self.withoutDot($0.typeName) }
            } else if let enumeration = enums[type] {
                lines += Self.lines(of: enumeration, type)
            }
        }
        return lines.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { $0 + "\n" }.joined()
    }

    // MARK: - Lines

    private static func line(of method: MethodDescriptorProto, in service: String) -> String {
        let types = "\(withoutDot(method.inputType)) \(withoutDot(method.outputType))"
        return "method \(service) \(method.name) \(types) \(method.clientStreaming) \(method.serverStreaming)"
    }

    private static func lines(of message: DescriptorProto, _ name: String) -> [String] {
        [message.options?.mapEntry == true ? "map \(name)" : "message \(name)"]
            + message.field.map { field in
                let type = field.typeName.isEmpty ? String(field.type.rawValue) : withoutDot(field.typeName)
                // The oneof that the descriptor gives each `optional` field is none.
                let oneof = field.proto3Optional ? nil : field.oneofIndex.map { message.oneofDecl[Int($0)].name }
                let kind = oneof.map { "oneof=\($0)" } ?? cardinality(of: field)
                return "field \(name) \(field.number) \(field.name) \(type) \(kind) \(field.jsonName)"
            }
    }

    private static func cardinality(of field: FieldDescriptorProto) -> String {
        guard field.label == .repeated else {
            return field.proto3Optional || field.type == .message ? "optional" : "implicit"
        }
        switch field.type {
        case .string, .bytes, .message: return "repeated"
        default: return field.options?.packed ?? true ? "packed" : "repeated"
        }
    }

    private static func lines(of enumeration: EnumDescriptorProto, _ name: String) -> [String] {
        // Of several names for one number JSON writes the first.
        var names: [Int32: Int] = [:]
        return ["enum \(name)"]
            + enumeration.value.map { value in
                defer { names[value.number, default: 0] += 1 }
                return "value \(name) \(value.number) \(names[value.number, default: 0]) \(value.name)"
            }
    }

    // MARK: - Names

    /// What the names of a file's types start with.
    private static func scope(of file: FileDescriptorProto) -> String { file.package.isEmpty ? "" : "\(file.package)." }

    /// The full names of a message, and of what is declared within it.
    private static func declared(_ message: DescriptorProto, _ scope: String) -> [String] {
        let name = scope + message.name
        return [name] + message.nestedType.flatMap { declared($0, name + ".") }
            + message.enumType.map { "\(name).\($0.name)" }
    }

    private static func withoutDot(_ name: String) -> String { name.hasPrefix(".") ? String(name.dropFirst()) : name }

    /// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): no adversary chooses schemas.
    private static func hash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
