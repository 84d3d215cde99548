/// Writes the parts of a field: its definition, its property on each face, and the code that copies between faces.
struct FieldGenerator {
    private let field: FieldModel

    init(_ field: FieldModel) { self.field = field }

    // MARK: - Definition

    var definition: String {
        "FieldDefinition(\(field.number), \"\(field.name)\", \(kind), \(label), offset: \(field.offset))"
    }

    private var kind: String {
        switch field.value {
        case .scalar(_, let kind): ".\(kind)"
        case .string: ".string"
        case .bytes: ".bytes"
        case .enumeration: ".enumeration"
        case .message(_, .index(let index)): ".message(.index(\(index)))"
        case .message(let swiftType, .imported): ".message(.type(\(swiftType).descriptor))"
        }
    }

    private var label: String {
        if field.oneof != nil { return ".oneof(selector: \(field.presenceOffset))" }
        switch field.cardinality {
        case .implicit: return ".implicit"
        case .explicit, .entry: return ".explicit(flag: \(field.presenceOffset))"
        case .repeated(let packed): return ".repeated(packed: \(packed))"
        case .map: return ".repeated(packed: false)"
        }
    }

    // MARK: - Deprecation

    /// The property that generated code uses: it may not use one that is deprecated without a warning.
    var storedName: String { field.isDeprecated ? field.swiftName.filter { $0 != "`" } + "_stored" : field.swiftName }

    /// Writes a documented property; where the field is deprecated, one that only this file sees and another that
    /// stands for it.
    ///
    /// - Parameter print: Writes the property under its stored name, with the given attributes.
    private func printNamed(
        _ attributes: String, _ type: String, setter: String?, _ printer: inout Printer,
        _ print: (String, inout Printer) -> Void
    ) {
        printer.print("")
        printer.document(field.comment)
        guard field.isDeprecated else { return print(attributes, &printer) }
        printer.print(deprecated)
        printer.block("\(attributes.replacing("@inlinable ", with: "")) var \(field.swiftName): \(type) {") { printer in
            printer.print("get { \(storedName) }")
            if let setter { printer.print("\(setter) { \(storedName) = newValue }") }
        }
        print("fileprivate", &printer)
    }

    // MARK: - Value

    /// The property's type on the value, and what it is until it is set.
    var valueType: (type: String, initial: String) {
        let type = field.value.valueType
        switch field.cardinality {
        case .implicit: return field.value.isMessage ? ("\(type)?", "nil") : (type, field.value.initial)
        case .explicit: return ("\(type)?", "nil")
        case .entry: return (type, field.value.initial)
        case .repeated: return ("[\(type)]", "[]")
        case .map(let key, let value): return ("[\(key.valueType): \(value.valueType)]", "[:]")
        }
    }

    func printValueProperty(_ access: String, _ printer: inout Printer) {
        let wrapper = field.isRecursive ? "@Indirect " : ""
        let type = valueType.type
        printNamed(access, type, setter: "set", &printer) { access, printer in
            printer.print("\(wrapper)\(access) var \(storedName): \(type)")
        }
    }

    /// Sets the value's property from a view's.
    func printCopyFromView(_ printer: inout Printer) {
        let source = "view.\(storedName)"
        let target = "self.\(storedName)"
        switch field.cardinality {
        case .implicit where !field.value.isMessage, .entry:
            printer.print("\(target) = \(field.value.toValue(source))")
        case .implicit, .explicit:
            let isPlain = field.value.toValue("$0") == "$0"
            printer.print("\(target) = \(source)" + (isPlain ? "" : ".map { \(field.value.toValue("$0")) }"))
        case .repeated where field.value.isPlainElement:
            printer.print("\(target) = Array(\(source))")
        case .repeated:
            printer.print("\(target) = \(source).map { \(field.value.toValue("$0")) }")
        case .map(let key, let value):
            let mapped =
                value.isMessage
                ? "entry.value.map { \(value.toValue("$0")) } ?? \(value.valueType)()" : value.toValue("entry.value")
            printer.print("\(target) = Dictionary(minimumCapacity: \(source).count)")
            printer.block("for entry in \(source) {") { printer in
                if key == .string {
                    printer.print(
                        "\(target)._set(\(mapped), forKey: entry.key, of: entry, number: \(field.number), "
                            + "in: &self.unknownFields)")
                } else {
                    printer.print("\(target)[entry.key] = \(mapped)")
                }
            }
        }
    }

    /// Sets the builder's field from the value's property.
    func printCopyToBuilder(_ printer: inout Printer) {
        let source = "self.\(storedName)"
        switch field.cardinality {
        case .implicit where field.value.isMessage:
            printer.print("if let message = \(source) { message.copy(into: builder.make\(field.upperName)()) }")
        case .implicit, .entry:
            printer.print("builder.\(storedName) = \(field.value.toWire(source))")
        case .explicit:
            let isPlain = field.value.toWire("$0") == "$0"
            printer.print(
                "builder.\(storedName) = \(source)"
                    + (isPlain ? "" : ".map { \(field.value.toWire("$0")) }"))
        case .repeated, .map: printCopyElements(&printer)
        }
    }

    private func printCopyElements(_ printer: inout Printer) {
        let name = "self.\(storedName)"
        printer.block("if !\(name).isEmpty {") { printer in
            printer.print("var appender = builder.make\(field.upperName)(capacity: \(name).count)")
            switch field.cardinality {
            case .map(let key, _):
                // In the order of keys, so that equal values have equal encodings.
                let order =
                    switch key {
                    case .string: "$0.key.utf8.lexicographicallyPrecedes($1.key.utf8)"
                    default: key.isBool ? "!$0.key && $1.key" : "$0.key < $1.key"
                    }
                printer.block("for (key, value) in \(name).sorted(by: { \(order) }) {") { printer in
                    printer.print("\(elementType)(key: key, value: value).copy(into: appender.append())")
                }
            default:
                if field.value.isMessage {
                    printer.print("for element in \(name) { element.copy(into: appender.append()) }")
                } else if field.value.isPlainElement {
                    printer.print("appender.append(contentsOf: \(name))")
                } else {
                    printer.print("for element in \(name) { appender.append(\(field.value.toWire("element"))) }")
                }
            }
        }
    }

    // MARK: - View

    /// The property's type on the view.
    var viewType: String {
        let type = field.value.viewType
        switch field.cardinality {
        case .implicit: return field.value.isMessage ? "\(type)?" : type
        case .explicit: return "\(type)?"
        case .entry: return type
        case .repeated, .map: return "RepeatedView<\(type)>"
        }
    }

    /// The expression that reads the field from a view's or builder's memory.
    var load: String {
        let load = loadValue
        guard field.cardinality == .explicit else { return load }
        return "_pointer.load(fromByteOffset: \(field.presenceOffset), as: Int32.self) != 0 ? \(load) : nil"
    }

    /// The same, where the field is known to be present.
    var loadValue: String {
        switch field.cardinality {
        case .repeated, .map: return Self.load(viewType, field.offset)
        case .implicit, .explicit, .entry:
            if field.value.isBool { return Self.load("Int32", field.offset) + " != 0" }
            return Self.load(field.value.isMessage ? "\(field.value.viewType)?" : field.value.viewType, field.offset)
        }
    }

    private static func load(_ type: String, _ offset: Int) -> String {
        "_pointer.load(fromByteOffset: \(offset), as: \(type).self)"
    }

    func printViewProperty(_ attributes: String, _ printer: inout Printer) {
        printNamed(attributes, viewType, setter: nil, &printer) { attributes, printer in
            printer.print("\(attributes) var \(storedName): \(viewType) { \(load) }")
        }
    }

    // MARK: - Builder

    func printBuilderProperty(_ attributes: String, _ printer: inout Printer) {
        printNamed(attributes, viewType, setter: "nonmutating set", &printer) { attributes, printer in
            printer.block("\(attributes) var \(storedName): \(viewType) {") { printer in
                printer.print("get { \(load) }")
                printer.block("nonmutating set {") { printer in printStore(&printer) }
            }
        }
        printMake(attributes, &printer)
    }

    private func printStore(_ printer: inout Printer) {
        switch field.cardinality {
        case .explicit:
            printer.print(
                "_pointer.storeBytes(of: newValue == nil ? 0 : 1, toByteOffset: \(field.presenceOffset), as: Int32.self)"
            )
            printer.print(store("newValue ?? \(field.value.viewInitial)"))
        case .entry:
            printer.print("_pointer.storeBytes(of: 1, toByteOffset: \(field.presenceOffset), as: Int32.self)")
            printer.print(store("newValue"))
        default: printer.print(store("newValue"))
        }
    }

    /// The statement that writes the field's memory.
    func store(_ value: String) -> String {
        let type: String
        var stored = value
        switch field.cardinality {
        case .repeated, .map: type = viewType
        case .implicit, .explicit, .entry:
            if field.value.isBool {
                type = "Int32"
                stored = field.cardinality == .explicit ? "(\(value)) ? 1 : 0" : "\(value) ? 1 : 0"
            } else {
                type = field.value.isMessage ? "\(field.value.viewType)?" : field.value.viewType
            }
        }
        return "_pointer.storeBytes(of: \(stored), toByteOffset: \(field.offset), as: \(type).self)"
    }

    /// The function that starts the field's message or its elements.
    func printMake(_ attributes: String, _ printer: inout Printer) {
        switch field.cardinality {
        case .repeated, .map:
            let appender =
                field.value.isMessage ? "MessageAppender<\(elementType).Builder>" : "ValueAppender<\(elementType)>"
            printer.print("")
            printer.document("Appends to `\(field.name)`, with room for `capacity` more.")
            printer.block("\(attributes) func make\(field.upperName)(capacity: Int) -> \(appender) {") { printer in
                printer.print("\(appender)(_field: _pointer + \(field.offset), _arena: _arena, capacity: capacity)")
            }
        case .implicit, .explicit, .entry:
            guard field.value.isMessage else { return }
            printer.print("")
            printer.document("Sets `\(field.name)` to a message that is to be filled in.")
            printer.block("\(attributes) func make\(field.upperName)() -> \(field.value.valueType).Builder {") {
                printer in
                printer.print("let message = \(field.value.valueType).Builder(in: _arena)")
                if field.oneof != nil { printer.print(storeSelector) }
                printer.print(store("message.view"), "return message")
            }
        }
    }

    /// The statement that makes the field the one of its oneof that is set.
    var storeSelector: String {
        "_pointer.storeBytes(of: \(field.number), toByteOffset: \(field.presenceOffset), as: UInt32.self)"
    }

    /// The Swift type of an element in a builder's array: of a message, its value's.
    private var elementType: String { field.value.isMessage ? field.value.valueType : field.value.viewType }
}

/// The attribute of what the schema marks as deprecated.
let deprecated = "@available(*, deprecated)"

extension FieldModel.Value {
    var isBool: Bool { self == .scalar(swiftType: "Bool", kind: "bool") }

    /// Whether an array of it is in memory as Swift has it.
    var isPlainElement: Bool {
        switch self {
        case .scalar: !isBool
        case .enumeration: true
        case .string, .bytes, .message: false
        }
    }

    /// The type on the value face.
    var valueType: String {
        switch self {
        case .scalar(let swiftType, _), .enumeration(let swiftType), .message(let swiftType, _): swiftType
        case .string: "String"
        case .bytes: "[UInt8]"
        }
    }

    /// The type on the view and builder faces.
    var viewType: String {
        switch self {
        case .scalar(let swiftType, _), .enumeration(let swiftType): swiftType
        case .string, .bytes: "WireBytes"
        case .message(let swiftType, _): "\(swiftType).View"
        }
    }

    /// What a value is until it is set.
    var initial: String {
        switch self {
        case .string: "\"\""
        case .bytes: "[]"
        default: viewInitial
        }
    }

    /// What a view shows until it is set.
    var viewInitial: String {
        switch self {
        case .scalar: isBool ? "false" : "0"
        case .string, .bytes: "WireBytes()"
        case .enumeration(let swiftType): "\(swiftType)(rawValue: 0)"
        case .message: "nil"
        }
    }

    /// An expression on a view's value, as one for the value face.
    func toValue(_ expression: String) -> String {
        switch self {
        case .scalar, .enumeration: expression
        case .string: "String(\(expression))"
        case .bytes: "[UInt8](\(expression))"
        case .message(let swiftType, _): "\(swiftType)(\(expression))"
        }
    }

    /// An expression on the value face's value, as one for a builder.
    func toWire(_ expression: String) -> String {
        switch self {
        case .string, .bytes: "builder._arena.copy(\(expression))"
        default: expression
        }
    }
}
