/// Turns descriptors into the model, and refuses what this version does not support.
struct ModelBuilder {
    private let file: FileDescriptorProto
    private let index: TypeIndex
    private let comments: Comments

    /// Members of a oneof share room for the largest that there can be: a string.
    private static let oneofByteCount = 16

    private init(_ file: FileDescriptorProto, _ index: TypeIndex) {
        self.file = file
        self.index = index
        comments = Comments(file)
    }

    /// The model of one file of a request.
    static func build(
        _ file: FileDescriptorProto, index: TypeIndex, imports: [String]
    ) throws(GeneratorError) -> FileModel {
        try ModelBuilder(file, index).build(imports: imports)
    }

    private func build(imports: [String]) throws(GeneratorError) -> FileModel {
        guard file.syntax == "proto3" else {
            let found = file.syntax.isEmpty ? "proto2" : file.syntax
            throw GeneratorError("\(file.name): \(found) is not supported by this version; use syntax = \"proto3\"")
        }
        let scope = file.package.isEmpty ? "" : "." + file.package
        var messages: [MessageModel] = []
        for (position, message) in file.messageType.enumerated() {
            messages.append(try self.message(message, scope: scope, path: [Comments.Step.message, Int32(position)]))
        }
        var services: [ServiceModel] = []
        for (position, service) in file.service.enumerated() {
            services.append(try self.service(service, path: [Comments.Step.service, Int32(position)]))
        }
        let enums = file.enumType.enumerated().map { position, enumeration in
            self.enumeration(enumeration, scope: scope, path: [Comments.Step.enumeration, Int32(position)])
        }
        let baseName = file.name.split(separator: "/").last.map { $0.hasSuffix(".proto") ? $0.dropLast(6) : $0 } ?? ""
        return FileModel(
            path: file.name,
            schemaName: TypeIndex.swiftPrefix(of: file) + Naming.upperCamelCase(identifier(baseName)) + "Schema",
            fingerprint: Fingerprint.of(file, imports: imports), messages: messages, enums: enums, services: services)
    }

    // MARK: - Messages

    private func message(_ message: DescriptorProto, scope: String, path: [Int32]) throws(GeneratorError)
        -> MessageModel
    {
        let fullName = "\(scope).\(message.name)"
        let entry = try type(fullName, at: fullName)
        var layout = Layout()
        var selectors: [Int: (selector: Int, value: Int)] = [:]
        var fields: [FieldModel] = []
        let ordered = message.field.enumerated().sorted { $0.element.number < $1.element.number }
        for (position, field) in ordered {
            let comment = comments[path + [Comments.Step.field, Int32(position)], or: "The field `\(field.name)`."]
            fields.append(try self.field(field, of: fullName, comment, &layout, &selectors))
        }
        var nestedMessages: [MessageModel] = []
        for (position, nested) in message.nestedType.enumerated() {
            let path = path + [Comments.Step.nestedMessage, Int32(position)]
            nestedMessages.append(try self.message(nested, scope: fullName, path: path))
        }
        let nestedEnums = message.enumType.enumerated().map { position, nested in
            enumeration(nested, scope: fullName, path: path + [Comments.Step.nestedEnumeration, Int32(position)])
        }
        let fallback =
            message.options?.mapEntry == true
            ? "An entry of a map, as it is encoded." : "The message `\(fullName.dropFirst())`."
        return MessageModel(
            fullName: String(fullName.dropFirst()), swiftName: lastComponent(entry.swiftName),
            qualifiedName: entry.swiftName, index: entry.index, comment: comments[path, or: fallback], fields: fields,
            oneofs: oneofs(of: message, fields, selectors, path), size: layout.total, nestedMessages: nestedMessages,
            nestedEnums: nestedEnums)
    }

    private func oneofs(
        of message: DescriptorProto, _ fields: [FieldModel], _ selectors: [Int: (selector: Int, value: Int)],
        _ path: [Int32]
    ) -> [OneofModel] {
        // Every `optional` field has a oneof of its own in the descriptor; those have no selector here.
        message.oneofDecl.enumerated().compactMap { position, oneof in
            guard let selector = selectors[position]?.selector else { return nil }
            return OneofModel(
                swiftName: Naming.property(oneof.name), typeName: "OneOf_" + Naming.upperCamelCase(oneof.name),
                comment: comments[path + [Comments.Step.oneof, Int32(position)], or: "The oneof `\(oneof.name)`."],
                fields: fields.filter { $0.oneof == position }, selectorOffset: selector)
        }
    }

    private func field(
        _ field: FieldDescriptorProto, of messageName: String, _ comment: String,
        _ layout: inout Layout, _ selectors: inout [Int: (selector: Int, value: Int)]
    ) throws(GeneratorError) -> FieldModel {
        let place = "\(messageName.dropFirst()).\(field.name)"
        let value = try self.value(field, at: place)
        let cardinality = try self.cardinality(field, value, at: place)
        let oneof = field.proto3Optional ? nil : field.oneofIndex.map { Int($0) }
        var presenceOffset = 0
        let offset: Int
        if let oneof {
            let places = selectors[oneof] ?? (layout.place(4), layout.place(Self.oneofByteCount))
            selectors[oneof] = places
            (presenceOffset, offset) = places
        } else {
            switch cardinality {
            case .implicit: offset = layout.place(value.byteCount)
            case .explicit:
                presenceOffset = layout.place(4)
                offset = layout.place(value.byteCount)
            case .repeated, .map: offset = layout.place(16)
            }
        }
        return FieldModel(
            name: field.name, number: field.number, swiftName: Naming.property(field.name),
            upperName: Naming.upperCamelCase(field.name), comment: comment, value: value, cardinality: cardinality,
            oneof: oneof,
            isRecursive: field.type == .message && field.label != .repeated
                && index.message(field.typeName, contains: messageName),
            offset: offset, presenceOffset: presenceOffset)
    }

    private func cardinality(
        _ field: FieldDescriptorProto, _ value: FieldModel.Value, at place: String
    ) throws(GeneratorError) -> FieldModel.Cardinality {
        guard field.label == .repeated else {
            // A message's presence shows by its pointer.
            return field.proto3Optional && !value.isMessage ? .explicit : .implicit
        }
        if let entry = index[field.typeName]?.message, entry.options?.mapEntry == true {
            let key = entry.field.first { $0.number == 1 }!
            let mapped = entry.field.first { $0.number == 2 }!
            return .map(key: try self.value(key, at: place), value: try self.value(mapped, at: place))
        }
        switch value {
        case .scalar, .enumeration: return .repeated(packed: field.options?.packed ?? true)
        case .string, .bytes, .message: return .repeated(packed: false)
        }
    }

    private func value(_ field: FieldDescriptorProto, at place: String) throws(GeneratorError) -> FieldModel.Value {
        switch field.type {
        case .double: return .scalar(swiftType: "Double", kind: "double")
        case .float: return .scalar(swiftType: "Float", kind: "float")
        case .int64: return .scalar(swiftType: "Int64", kind: "int64")
        case .uint64: return .scalar(swiftType: "UInt64", kind: "uint64")
        case .int32: return .scalar(swiftType: "Int32", kind: "int32")
        case .fixed64: return .scalar(swiftType: "UInt64", kind: "fixed64")
        case .fixed32: return .scalar(swiftType: "UInt32", kind: "fixed32")
        case .bool: return .scalar(swiftType: "Bool", kind: "bool")
        case .uint32: return .scalar(swiftType: "UInt32", kind: "uint32")
        case .sfixed32: return .scalar(swiftType: "Int32", kind: "sfixed32")
        case .sfixed64: return .scalar(swiftType: "Int64", kind: "sfixed64")
        case .sint32: return .scalar(swiftType: "Int32", kind: "sint32")
        case .sint64: return .scalar(swiftType: "Int64", kind: "sint64")
        case .string: return .string
        case .bytes: return .bytes
        case .enum: return .enumeration(swiftType: try type(field.typeName, at: place).swiftName)
        case .message:
            let entry = try type(field.typeName, at: place)
            return .message(
                swiftType: entry.swiftName, reference: entry.filePath == file.name ? .index(entry.index) : .imported)
        default:
            throw GeneratorError("\(file.name): \(place) is a group, which is not supported; use a message")
        }
    }

    // MARK: - Enums and services

    private func enumeration(_ enumeration: EnumDescriptorProto, scope: String, path: [Int32]) -> EnumModel {
        let names = enumeration.value.map(\.name)
        let values = enumeration.value.enumerated().map { position, value in
            EnumModel.Value(
                name: value.name, swiftName: Naming.enumValue(value.name, of: enumeration.name, siblings: names),
                number: value.number,
                comment: comments[path + [Comments.Step.value, Int32(position)], or: "`\(value.name)`."])
        }
        let fullName = "\(scope).\(enumeration.name)"
        return EnumModel(
            fullName: String(fullName.dropFirst()), swiftName: lastComponent(index[fullName]!.swiftName),
            comment: comments[path, or: "The enum `\(fullName.dropFirst())`."], values: values)
    }

    private func service(_ service: ServiceDescriptorProto, path: [Int32]) throws(GeneratorError) -> ServiceModel {
        let fullName = file.package.isEmpty ? service.name : "\(file.package).\(service.name)"
        var methods: [ServiceModel.Method] = []
        for (position, method) in service.method.enumerated() {
            let place = "\(fullName).\(method.name)"
            guard !method.clientStreaming, !method.serverStreaming else {
                throw GeneratorError(
                    "\(file.name): \(place) is a streaming method, which is not supported by this version; "
                        + "use a method without 'stream'")
            }
            methods.append(
                ServiceModel.Method(
                    name: method.name, swiftName: Naming.method(method.name),
                    comment: comments[path + [Comments.Step.method, Int32(position)], or: "The method `\(place)`."],
                    input: try type(method.inputType, at: place).swiftName,
                    output: try type(method.outputType, at: place).swiftName))
        }
        return ServiceModel(
            fullName: fullName,
            swiftName: TypeIndex.swiftPrefix(of: file) + Naming.type(service.name, suffix: "Service"),
            comment: comments[path, or: "The service `\(fullName)`."], methods: methods)
    }

    // MARK: - Names

    private func type(_ fullName: String, at place: String) throws(GeneratorError) -> TypeIndex.Entry {
        guard let entry = index[fullName] else {
            throw GeneratorError(
                "\(file.name): \(place) has the type \(fullName), which no file of the request defines")
        }
        return entry
    }

    private func lastComponent(_ swiftName: String) -> String {
        String(swiftName[(swiftName.lastIndex(of: ".").map(swiftName.index(after:)) ?? swiftName.startIndex)...])
    }

    /// A file's name with what no identifier can hold made underscores.
    private func identifier(_ name: Substring) -> String {
        String(name.map { Naming.isIdentifier("a\($0)") ? $0 : "_" })
    }
}
