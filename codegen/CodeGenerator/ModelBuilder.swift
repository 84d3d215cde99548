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
        _ file: FileDescriptorProto, index: TypeIndex, modules: Modules, descriptors: DescriptorBuilder
    ) throws(GeneratorError) -> FileModel {
        try ModelBuilder(file, index).build(modules, descriptors)
    }

    private func build(_ modules: Modules, _ descriptors: DescriptorBuilder) throws(GeneratorError) -> FileModel {
        guard file.syntax == "proto3" else {
            let found = file.syntax.isEmpty ? "proto2" : "an edition"
            throw GeneratorError(
                "\(file.name): \(found) is not supported; write syntax = \"proto3\" at its top and take what proto3 lacks "
                    + "(required, groups, extensions, defaults) out of it")
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
        var enums: [EnumModel] = []
        for (position, enumeration) in file.enumType.enumerated() {
            let path = [Comments.Step.enumeration, Int32(position)]
            enums.append(try self.enumeration(enumeration, scope: scope, path: path))
        }
        let referenced = files(of: file.messageType.flatMap(fieldTypes))
        let called = files(of: file.service.flatMap(\.method).flatMap { [$0.inputType, $0.outputType] })
        return FileModel(
            path: file.name, schemaName: index.schemas[file.name]!,
            descriptor: try descriptors.descriptor(of: file.name, referenced: referenced),
            messageImports: try modules.imports(of: file.name, from: referenced),
            serviceImports: try modules.imports(of: file.name, from: called), messages: messages, enums: enums,
            services: services)
    }

    /// The full names of the types of a message's fields, and of those of nested messages.
    private func fieldTypes(_ message: DescriptorProto) -> [String] {
        message.field.map(\.typeName) + message.nestedType.flatMap(fieldTypes)
    }

    private func files(of types: [String]) -> Set<String> { Set(types.compactMap { index[$0]?.filePath }) }

    // MARK: - Messages

    private func message(_ message: DescriptorProto, scope: String, path: [Int32]) throws(GeneratorError)
        -> MessageModel
    {
        let fullName = "\(scope).\(message.name)"
        let entry = try type(fullName, at: fullName)
        var layout = Layout()
        var selectors: [Int: (selector: Int, value: Int)] = [:]
        var fields: [FieldModel] = []
        let types = (message.nestedType.map(\.name) + message.enumType.map(\.name)).map {
            lastComponent(index["\(fullName).\($0)"]!.swiftName)
        }
        let names = MemberNames(message, types: Set(types))
        let ordered = message.field.enumerated().sorted { $0.element.number < $1.element.number }
        for (position, field) in ordered {
            let comment = comments[
                path + [Comments.Step.field, Int32(position)], or: "The field `\(field.name)`.",
                isDeprecated: field.options?.deprecated]
            fields.append(try self.field(field, names.fields[position], of: fullName, comment, &layout, &selectors))
        }
        var nestedMessages: [MessageModel] = []
        for (position, nested) in message.nestedType.enumerated() {
            let path = path + [Comments.Step.nestedMessage, Int32(position)]
            nestedMessages.append(try self.message(nested, scope: fullName, path: path))
        }
        var nestedEnums: [EnumModel] = []
        for (position, nested) in message.enumType.enumerated() {
            let path = path + [Comments.Step.nestedEnumeration, Int32(position)]
            nestedEnums.append(try enumeration(nested, scope: fullName, path: path))
        }
        let fallback =
            message.options?.mapEntry == true
            ? "An entry of a map, as it is encoded." : "The message `\(fullName.dropFirst())`."
        return MessageModel(
            fullName: String(fullName.dropFirst()), swiftName: lastComponent(entry.swiftName),
            qualifiedName: entry.swiftName, index: entry.index,
            comment: comments[path, or: fallback, isDeprecated: isDeprecated(message.options?.deprecated)],
            fields: fields,
            oneofs: oneofs(of: message, names, fields, selectors, path), size: layout.total,
            nestedMessages: nestedMessages,
            nestedEnums: nestedEnums)
    }

    private func oneofs(
        of message: DescriptorProto, _ names: MemberNames, _ fields: [FieldModel],
        _ selectors: [Int: (selector: Int, value: Int)],
        _ path: [Int32]
    ) -> [OneofModel] {
        // Every `optional` field has a oneof of its own in the descriptor; those have no selector here.
        message.oneofDecl.enumerated().compactMap { position, oneof in
            guard let selector = selectors[position]?.selector else { return nil }
            return OneofModel(
                name: oneof.name, swiftName: names.oneofs[position].property,
                typeName: names.oneofs[position].type,
                comment: comments[
                    path + [Comments.Step.oneof, Int32(position)], or: "The oneof `\(oneof.name)`.",
                    isDeprecated: false],
                fields: fields.filter { $0.oneof == position }, selectorOffset: selector)
        }
    }

    private func field(
        _ field: FieldDescriptorProto, _ names: MemberNames.Field, of messageName: String, _ comment: String,
        _ layout: inout Layout, _ selectors: inout [Int: (selector: Int, value: Int)]
    ) throws(GeneratorError) -> FieldModel {
        let place = "\(messageName.dropFirst()).\(field.name)"
        let value = try self.value(field, at: place)
        let cardinality = try self.cardinality(field, value, of: messageName, at: place)
        let oneof = field.oneof
        var presenceOffset = 0
        let offset: Int
        if let oneof {
            let places = selectors[oneof] ?? (layout.place(4), layout.place(Self.oneofByteCount))
            selectors[oneof] = places
            (presenceOffset, offset) = places
        } else {
            switch cardinality {
            case .implicit: offset = layout.place(value.byteCount)
            case .explicit, .entry:
                presenceOffset = layout.place(4)
                offset = layout.place(value.byteCount)
            case .repeated, .map: offset = layout.place(16)
            }
        }
        return FieldModel(
            name: field.name, number: field.number, isDeprecated: field.options?.deprecated ?? false,
            swiftName: names.property, upperName: names.maker, comment: comment, value: value, cardinality: cardinality,
            oneof: oneof,
            isRecursive: field.type == .message && field.label != .repeated
                && index.message(field.typeName, contains: messageName),
            offset: offset, presenceOffset: presenceOffset)
    }

    private func cardinality(
        _ field: FieldDescriptorProto, _ value: FieldModel.Value, of messageName: String, at place: String
    ) throws(GeneratorError) -> FieldModel.Cardinality {
        guard field.label == .repeated else {
            if index[messageName]?.message?.options?.mapEntry == true && !value.isMessage { return .entry }
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

    private func enumeration(
        _ enumeration: EnumDescriptorProto, scope: String, path: [Int32]
    ) throws(GeneratorError) -> EnumModel {
        // An alias that Swift calls the same is the same value: `MOO` and `moo`.
        var seen: Set<String> = []
        let distinct = enumeration.value.enumerated().filter { _, value in
            seen.insert("\(Naming.enumValue(value.name, of: enumeration.name)) \(value.number)").inserted
        }
        var names = NameScope()
        let values = distinct.map { position, value in
            EnumModel.Value(
                name: value.name, isDeprecated: value.options?.deprecated ?? false,
                swiftName: names.take(Naming.enumValue(value.name, of: enumeration.name)), number: value.number,
                comment: comments[
                    path + [Comments.Step.value, Int32(position)], or: "`\(value.name)`.",
                    isDeprecated: value.options?.deprecated])
        }
        let fullName = "\(scope).\(enumeration.name)"
        return EnumModel(
            fullName: String(fullName.dropFirst()), swiftName: lastComponent(index[fullName]!.swiftName),
            comment: comments[
                path, or: "The enum `\(fullName.dropFirst())`.",
                isDeprecated: isDeprecated(enumeration.options?.deprecated)], values: values)
    }

    private func service(_ service: ServiceDescriptorProto, path: [Int32]) throws(GeneratorError) -> ServiceModel {
        let fullName = file.package.isEmpty ? service.name : "\(file.package).\(service.name)"
        var methods: [ServiceModel.Method] = []
        var names = NameScope()
        for (position, method) in service.method.enumerated() {
            let place = "\(fullName).\(method.name)"
            methods.append(
                ServiceModel.Method(
                    name: method.name, swiftName: names.take(Naming.method(method.name)),
                    comment: comments[
                        path + [Comments.Step.method, Int32(position)], or: "The method `\(place)`.",
                        isDeprecated: method.options?.deprecated],
                    input: try type(method.inputType, at: place).swiftName,
                    output: try type(method.outputType, at: place).swiftName,
                    clientStreaming: method.clientStreaming, serverStreaming: method.serverStreaming))
        }
        return ServiceModel(
            fullName: fullName,
            swiftName: index.services["." + fullName]!,
            comment: comments[
                path, or: "The service `\(fullName)`.", isDeprecated: isDeprecated(service.options?.deprecated)],
            methods: methods)
    }

    /// Whether a type, or all of its file, is marked as deprecated. It is documented and no attribute: generated code
    /// itself could not use such a type without a warning.
    private func isDeprecated(_ type: Bool?) -> Bool { type == true || file.options?.deprecated == true }

    // MARK: - Names

    private func type(_ fullName: String, at place: String) throws(GeneratorError) -> TypeIndex.Entry {
        guard let entry = index[fullName] else {
            throw GeneratorError(
                "\(file.name): \(place) has the type \(fullName), which no file of the request defines")
        }
        guard entry.syntax == "proto3" else {
            throw GeneratorError(
                "\(file.name): \(place) has the type \(fullName.dropFirst()) of \(entry.filePath), which is no proto3 "
                    + "file; only types of proto3 files are supported")
        }
        return entry
    }

    private func lastComponent(_ swiftName: String) -> String {
        String(swiftName[(swiftName.lastIndex(of: ".").map(swiftName.index(after:)) ?? swiftName.startIndex)...])
    }
}
