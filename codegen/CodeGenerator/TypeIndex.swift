/// Every message and enum of a request, by full name.
struct TypeIndex {
    struct Entry {
        let filePath: String
        let swiftName: String
        /// The message; nil for an enum.
        let message: DescriptorProto?
        /// A message's index among the descriptors of its file.
        let index: Int
    }

    private var entries: [String: Entry] = [:]

    init(_ files: [FileDescriptorProto]) {
        for file in files {
            let prefix = Self.swiftPrefix(of: file)
            let scope = file.package.isEmpty ? "" : "." + file.package
            var count = 0
            for message in file.messageType {
                let swiftName = Naming.type(prefix + message.name, suffix: "Message")
                add(message, scope: scope, swiftName: swiftName, path: file.name, count: &count)
            }
            for enumeration in file.enumType {
                let swiftName = Naming.type(prefix + enumeration.name, suffix: "Enum")
                add(enumeration, scope: scope, swiftName: swiftName, path: file.name)
            }
        }
    }

    /// The type of a full name with a leading dot.
    subscript(_ fullName: String) -> Entry? { entries[fullName] }

    /// What the Swift names of a file's types start with.
    static func swiftPrefix(of file: FileDescriptorProto) -> String {
        file.options?.swiftPrefix ?? Naming.prefix(package: file.package)
    }

    /// The enum that holds what a file's types share.
    static func schemaName(of file: FileDescriptorProto) -> String {
        let baseName = file.name.split(separator: "/").last.map { $0.hasSuffix(".proto") ? $0.dropLast(6) : $0 } ?? ""
        // What no identifier can hold becomes an underscore.
        let identifier = String(baseName.map { Naming.isIdentifier("a\($0)") ? $0 : "_" })
        return swiftPrefix(of: file) + Naming.upperCamelCase(identifier) + "Schema"
    }

    /// Whether a message of type `start` can hold one of type `target` by values all the way.
    func message(_ start: String, contains target: String) -> Bool {
        var visited: Set<String> = []
        var pending = [start]
        while let name = pending.popLast() {
            if name == target { return true }
            guard visited.insert(name).inserted, let message = entries[name]?.message else { continue }
            pending += message.field.filter { $0.type == .message && $0.label != .repeated }.map(\.typeName)
        }
        return false
    }

    private mutating func add(
        _ message: DescriptorProto, scope: String, swiftName: String, path: String, count: inout Int
    ) {
        let fullName = "\(scope).\(message.name)"
        entries[fullName] = Entry(filePath: path, swiftName: swiftName, message: message, index: count)
        count += 1
        for nested in message.nestedType {
            let swiftName = "\(swiftName).\(Naming.type(nested.name, suffix: "Message"))"
            add(nested, scope: fullName, swiftName: swiftName, path: path, count: &count)
        }
        for nested in message.enumType {
            let swiftName = "\(swiftName).\(Naming.type(nested.name, suffix: "Enum"))"
            add(nested, scope: fullName, swiftName: swiftName, path: path)
        }
    }

    private mutating func add(_ enumeration: EnumDescriptorProto, scope: String, swiftName: String, path: String) {
        entries["\(scope).\(enumeration.name)"] = Entry(filePath: path, swiftName: swiftName, message: nil, index: 0)
    }
}
