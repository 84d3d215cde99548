/// Writes a oneof: an enum of its members on either face, and the property that holds it.
struct OneofGenerator {
    private let oneof: OneofModel
    private let access: String
    private let attributes: String

    init(_ oneof: OneofModel, _ options: GeneratorOptions) {
        self.oneof = oneof
        access = options.access
        attributes = options.inlinable + access
    }

    /// The type of the property on either face; the view's enum is within the view.
    var type: String { "\(oneof.typeName)?" }

    // MARK: - Value

    func printValueProperty(_ printer: inout Printer) {
        printer.print("")
        printer.document(oneof.comment)
        printer.print("\(access) var \(oneof.swiftName): \(type)", "")
        printer.document("The members of `\(oneof.swiftName)`.")
        let indirect = oneof.fields.contains(where: \.isRecursive) ? "indirect " : ""
        printEnum("\(access) \(indirect)enum \(oneof.typeName): Hashable, Sendable {", \.valueType, &printer)
    }

    func printCopyFromView(_ printer: inout Printer) {
        printer.print("switch view.\(oneof.swiftName) {")
        for field in oneof.fields {
            let value = field.value.toValue("value")
            printer.print(
                "case .\(field.swiftName)(let value)?: self.\(oneof.swiftName) = .\(field.swiftName)(\(value))")
        }
        printer.print("case nil: self.\(oneof.swiftName) = nil", "}")
    }

    func printCopyToBuilder(_ printer: inout Printer) {
        printer.print("switch self.\(oneof.swiftName) {")
        for field in oneof.fields {
            let copy =
                field.value.isMessage
                ? "value.copy(into: builder.make\(field.upperName)())"
                : "builder.\(oneof.swiftName) = .\(field.swiftName)(\(field.value.toWire("value")))"
            printer.print("case .\(field.swiftName)(let value)?: \(copy)")
        }
        printer.print("case nil: break", "}")
    }

    // MARK: - View and builder

    func printViewProperty(_ printer: inout Printer) {
        printer.print("")
        printer.document("The members of `\(oneof.swiftName)`.")
        printEnum("\(access) enum \(oneof.typeName) {", \.viewType, &printer)
        printer.print("")
        printer.document(oneof.comment)
        printer.block("\(attributes) var \(oneof.swiftName): \(type) {") { printer in
            printer.print("switch _pointer.load(fromByteOffset: \(oneof.selectorOffset), as: UInt32.self) {")
            for field in oneof.fields {
                let value = FieldGenerator(field).loadValue
                // A member message has memory as long as its selector is set.
                let load =
                    field.value.isMessage ? "\(value).map { .\(field.swiftName)($0) }" : ".\(field.swiftName)(\(value))"
                printer.print("case \(field.number): return \(load)")
            }
            printer.print("default: return nil", "}")
        }
    }

    func printBuilderProperty(_ printer: inout Printer) {
        printer.print("")
        printer.document(oneof.comment)
        printer.block("\(attributes) var \(oneof.swiftName): View.\(type) {") { printer in
            printer.print("get { view.\(oneof.swiftName) }")
            printer.block("nonmutating set {") { printer in
                printer.print("switch newValue {")
                for field in oneof.fields {
                    printer.print("case .\(field.swiftName)(let value)?:")
                    printer.indent { printer in
                        printer.print(FieldGenerator(field).storeSelector, FieldGenerator(field).store("value"))
                    }
                }
                printer.print("case nil:")
                printer.indent { printer in
                    printer.print("_pointer.storeBytes(of: 0, toByteOffset: \(oneof.selectorOffset), as: UInt32.self)")
                }
                printer.print("}")
            }
        }
        for field in oneof.fields { FieldGenerator(field).printMake(attributes, &printer) }
    }

    private func printEnum(
        _ opening: String, _ type: KeyPath<FieldModel.Value, String>, _ printer: inout Printer
    ) {
        printer.block(opening) { printer in
            for (index, field) in oneof.fields.enumerated() {
                if index > 0 { printer.print("") }
                printer.document(field.comment)
                printer.print("case \(field.swiftName)(\(field.value[keyPath: type]))")
            }
        }
    }
}
