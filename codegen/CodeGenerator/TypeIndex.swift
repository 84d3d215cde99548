/// Every message and enum of a request, by full name.
struct TypeIndex {
    struct Entry {
        let filePath: String
        /// As its file says: empty for proto2.
        let syntax: String
        let swiftName: String
        /// The message; nil for an enum.
        let message: DescriptorProto?
        /// A message's index among the descriptors of its file.
        let index: Int
    }

    private var entries: [String: Entry] = [:]
    /// The Swift names of services, by full name.
    private(set) var services: [String: String] = [:]
    /// The enums that hold what a file's types share, by its path.
    private(set) var schemas: [String: String] = [:]

    /// - Parameter files: Each after those that it imports.
    init(_ files: [FileDescriptorProto]) {
        // The names outside other types that a file's code may mean.
        var visible: [String: Set<String>] = [:]
        for file in files {
            let prefix = file.options?.swiftPrefix ?? Naming.prefix(package: file.package)
            let scope = file.package.isEmpty ? "" : "." + file.package
            var names = NameScope()
            let messages = file.messageType.map { names.take(Naming.type(prefix + $0.name, suffix: "Message")) }
            let enums = file.enumType.map { names.take(Naming.type(prefix + $0.name, suffix: "Enum")) }
            for service in file.service {
                services["\(scope).\(service.name)"] = names.take(
                    Naming.type(prefix + service.name, suffix: "Service"), endings: ServiceModel.endings)
            }
            let schema = prefix + Self.schemaName(of: file)
            schemas[file.name] = names.take(Naming.isIdentifier(schema) ? schema : "_" + schema)
            let taken = file.dependency.reduce(into: names.names) { $0.formUnion(visible[$1] ?? []) }
            visible[file.name] = taken
            var count = 0
            for (message, name) in zip(file.messageType, messages) {
                add(message, scope: scope, swiftName: name, file, taken, &count)
            }
            for (enumeration, name) in zip(file.enumType, enums) {
                add(enumeration, scope: scope, swiftName: name, file)
            }
        }
    }

    /// The type of a full name with a leading dot.
    subscript(_ fullName: String) -> Entry? { entries[fullName] }

    private static func schemaName(of file: FileDescriptorProto) -> String {
        let baseName = file.name.split(separator: "/").last.map { $0.hasSuffix(".proto") ? $0.dropLast(6) : $0 } ?? ""
        // What no identifier can hold becomes an underscore.
        let identifier = String(baseName.map { Naming.isIdentifier("a\($0)") ? $0 : "_" })
        return Naming.upperCamelCase(identifier) + "Schema"
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

    /// - Parameter taken: Names outside other types. A type within another that had one of them would hide it.
    private mutating func add(
        _ message: DescriptorProto, scope: String, swiftName: String, _ file: FileDescriptorProto,
        _ taken: Set<String>, _ count: inout Int
    ) {
        let fullName = "\(scope).\(message.name)"
        entries[fullName] = Entry(
            filePath: file.name, syntax: file.syntax, swiftName: swiftName, message: message, index: count)
        count += 1
        var names = NameScope()
        for nested in message.nestedType {
            let name = names.take(Naming.type(nested.name, suffix: "Message", taken: taken))
            add(nested, scope: fullName, swiftName: "\(swiftName).\(name)", file, taken, &count)
        }
        for nested in message.enumType {
            let name = names.take(Naming.type(nested.name, suffix: "Enum", taken: taken))
            add(nested, scope: fullName, swiftName: "\(swiftName).\(name)", file)
        }
    }

    private mutating func add(
        _ enumeration: EnumDescriptorProto, scope: String, swiftName: String, _ file: FileDescriptorProto
    ) {
        entries["\(scope).\(enumeration.name)"] = Entry(
            filePath: file.name, syntax: file.syntax, swiftName: swiftName, message: nil, index: 0)
    }
}
