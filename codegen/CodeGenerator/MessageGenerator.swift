/// Writes a message: the plain value, the view and the builder.
struct MessageGenerator {
    private let model: MessageModel
    private let options: GeneratorOptions
    private let schemaName: String
    private let access: String
    private let attributes: String

    init(_ model: MessageModel, _ options: GeneratorOptions, schemaName: String) {
        self.model = model
        self.options = options
        self.schemaName = schemaName
        access = options.access
        attributes = options.inlinable + access
    }

    private var oneofs: [OneofGenerator] { model.oneofs.map { OneofGenerator($0, options) } }
    private var fields: [FieldGenerator] { model.plainFields.map { FieldGenerator($0) } }

    // MARK: - Value

    /// The value, with the types nested in it.
    func printDeclaration(_ printer: inout Printer) {
        printer.print("")
        printer.document(model.comment)
        printer.block("\(access) struct \(model.swiftName): Message {") { printer in
            printer.print("\(access) static let descriptor = \(schemaName).descriptors[\(model.index)]")
            for field in fields { field.printValueProperty(access, &printer) }
            for oneof in oneofs { oneof.printValueProperty(&printer) }
            printer.print("")
            printer.document("Fields of a decoded message that this schema does not name.")
            printer.print("\(access) var unknownFields: UnknownFields", "")
            printInitializer(&printer)
            printMemberwiseInitializer(&printer)
            for enumeration in model.nestedEnums { EnumGenerator(enumeration, options).print(&printer) }
            for nested in model.nestedMessages {
                MessageGenerator(nested, options, schemaName: schemaName).printDeclaration(&printer)
            }
        }
    }

    /// What the value has of fields and oneofs, in the order of its declaration.
    private var properties: [(name: String, stored: String, type: String, initial: String)] {
        zip(model.plainFields, fields).map { field, generator in
            let (type, initial) = generator.valueType
            return (field.swiftName, generator.storedName, type, initial)
        } + zip(model.oneofs, oneofs).map { ($0.swiftName, $0.swiftName, $1.type, "nil") }
    }

    /// Properties have no initial values of their own: every initializer would set them before its own.
    private func printInitializer(_ printer: inout Printer) {
        printer.block("\(access) init() {") { printer in
            for property in properties { printer.print("self.\(property.stored) = \(property.initial)") }
            printer.print("self.unknownFields = UnknownFields()")
        }
    }

    private func printMemberwiseInitializer(_ printer: inout Printer) {
        let parameters = properties
        guard !parameters.isEmpty else { return }
        printer.print("")
        printer.print("\(access) init(")
        printer.indent { printer in
            for (index, parameter) in parameters.enumerated() {
                let separator = index + 1 < parameters.count ? "," : ""
                printer.print("\(parameter.name): \(parameter.type) = \(parameter.initial)\(separator)")
            }
        }
        printer.block(") {") { printer in
            for parameter in parameters { printer.print("self.\(parameter.stored) = \(parameter.name)") }
            printer.print("self.unknownFields = UnknownFields()")
        }
    }

    // MARK: - Faces

    /// View, builder, and the copies between them and the value.
    func printFaces(_ printer: inout Printer) {
        printer.print("")
        printer.block("extension \(model.qualifiedName) {") { printer in
            printView(&printer)
            printer.print("")
            printBuilder(&printer)
            printCopies(&printer)
        }
    }

    private func printView(_ printer: inout Printer) {
        printer.document("``\(model.qualifiedName)`` in an arena, read in place.")
        printer.block("\(access) struct View: MessageView {") { printer in
            printer.print("\(access) typealias Value = \(model.qualifiedName)")
            printer.print("\(access) let _pointer: UnsafeRawPointer")
            printer.print("\(attributes) init(_pointer: UnsafeRawPointer) { self._pointer = _pointer }")
            for field in fields { field.printViewProperty(attributes, &printer) }
            for oneof in oneofs { oneof.printViewProperty(&printer) }
        }
    }

    private func printBuilder(_ printer: inout Printer) {
        printer.document("``\(model.qualifiedName)`` being made in an arena.")
        printer.block("\(access) struct Builder: MessageBuilder {") { printer in
            printer.print("\(access) typealias Value = \(model.qualifiedName)")
            printer.print("\(access) let _pointer: UnsafeMutableRawPointer", "\(access) let _arena: Arena")
            printer.block("\(attributes) init(_pointer: UnsafeMutableRawPointer, _arena: Arena) {") { printer in
                printer.print("self._pointer = _pointer", "self._arena = _arena")
            }
            for field in fields { field.printBuilderProperty(attributes, &printer) }
            for oneof in oneofs { oneof.printBuilderProperty(&printer) }
        }
    }

    private func printCopies(_ printer: inout Printer) {
        printer.print("")
        printer.block("\(access) init(_ view: View) {") { printer in
            printer.print("self.unknownFields = UnknownFields(view)")
            for field in fields { field.printCopyFromView(&printer) }
            for oneof in oneofs { oneof.printCopyFromView(&printer) }
        }
        printer.print("")
        printer.block("\(access) func copy(into builder: Builder) {") { printer in
            for field in fields { field.printCopyToBuilder(&printer) }
            for oneof in oneofs { oneof.printCopyToBuilder(&printer) }
            printer.print("self.unknownFields.copy(into: builder)")
        }
    }
}
