/// Identifies the meaning of a `.proto` file on the wire and in generated code.
///
/// The same as long as no name, number, type or label changes, here or in an imported file; comments and the order
/// of declarations do not count.
enum Fingerprint {
    /// 16 hexadecimal digits.
    static func of(_ file: FileDescriptorProto, imports: [String]) -> String {
        var lines = ["package \(file.package)"] + imports.map { "import \($0)" }
        for message in file.messageType { lines += describe(message, in: "") }
        for enumeration in file.enumType { lines += describe(enumeration, in: "") }
        for service in file.service {
            lines += service.method.map { method in
                let streams = "\(method.clientStreaming) \(method.serverStreaming)"
                return "method \(service.name).\(method.name) \(method.inputType) \(method.outputType) \(streams)"
            }
        }
        return hash(lines.sorted().joined(separator: "\n"))
    }

    private static func describe(_ message: DescriptorProto, in scope: String) -> [String] {
        let name = scope + message.name
        var lines = ["message \(name)"]
        lines += message.field.map { field in
            let oneof = field.proto3Optional ? nil : field.oneofIndex.map { message.oneofDecl[Int($0)].name }
            let packed = field.options?.packed.map { " packed=\($0)" } ?? ""
            return "field \(name).\(field.name) \(field.number) \(field.type) \(field.typeName) \(field.label)"
                + " optional=\(field.proto3Optional) oneof=\(oneof ?? "")\(packed)"
        }
        for nested in message.nestedType { lines += describe(nested, in: name + ".") }
        for nested in message.enumType { lines += describe(nested, in: name + ".") }
        return lines
    }

    private static func describe(_ enumeration: EnumDescriptorProto, in scope: String) -> [String] {
        enumeration.value.map { "enum \(scope)\(enumeration.name).\($0.name) \($0.number)" }
    }

    /// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): no adversary chooses schemas.
    private static func hash(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
