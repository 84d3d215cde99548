/// Writes an enum: a struct around its number, as a peer may send one that the schema does not name.
struct EnumGenerator {
    private let model: EnumModel
    private let access: String
    private let inlinable: String

    init(_ model: EnumModel, _ options: GeneratorOptions) {
        self.model = model
        access = options.access
        inlinable = options.inlinable
    }

    func print(_ printer: inout Printer) {
        printer.print("")
        printer.document(model.comment)
        printer.block("\(access) struct \(model.swiftName): Enumeration, CaseIterable {") { printer in
            printer.print("\(access) var rawValue: Int32", "")
            printer.print("\(inlinable)\(access) init(rawValue: Int32) { self.rawValue = rawValue }")
            for value in model.values {
                printer.print("")
                printer.document(value.comment)
                if value.isDeprecated { printer.print(deprecated) }
                printer.print(
                    "\(inlinable)\(access) static var \(value.swiftName): Self { Self(rawValue: \(value.number)) }")
            }
            printAllCases(&printer)
            printName(&printer)
        }
    }

    /// The first of the values that share a number stands for it.
    private var distinctValues: [EnumModel.Value] {
        var numbers: Set<Int32> = []
        return model.values.filter { numbers.insert($0.number).inserted }
    }

    private func printAllCases(_ printer: inout Printer) {
        printer.print("")
        printer.document("The values that the schema names.")
        let values = distinctValues.map { $0.isDeprecated ? "Self(rawValue: \($0.number))" : "." + $0.swiftName }
        printer.block("\(access) static var allCases: [Self] {") { printer in
            printer.print("[\(values.joined(separator: ", "))]")
        }
    }

    private func printName(_ printer: inout Printer) {
        printer.print("")
        printer.block("\(access) var name: StaticString? {") { printer in
            // No `switch` expression: with a thousand values it takes the compiler seconds.
            printer.print("switch rawValue {")
            for value in distinctValues { printer.print("case \(value.number): return \"\(value.name)\"") }
            printer.print("default: return nil", "}")
        }
    }
}

extension GeneratorOptions {
    /// Accessors may be inlined into other modules where other modules see them.
    var inlinable: String { visibility == .public ? "@inlinable " : "" }
}
