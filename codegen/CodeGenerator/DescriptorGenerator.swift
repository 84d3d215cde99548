/// Writes the descriptor of a file, for reflection.
struct DescriptorGenerator {
    private let model: DescriptorModel
    private let access: String

    init(_ model: DescriptorModel, _ options: GeneratorOptions) {
        self.model = model
        access = options.access
    }

    func print(_ printer: inout Printer) {
        printer.print("")
        printer.document("The file as reflection hands it out.")
        Self.print(model, as: "\(access) static let file", &printer)
        for (index, file) in model.embedded.enumerated() {
            printer.print("")
            printer.document("`\(file.name)`, of which this file may import options alone.")
            Self.print(file, as: "private static let import\(index)", &printer)
        }
    }

    private static func print(_ model: DescriptorModel, as declaration: String, _ printer: inout Printer) {
        printer.block("\(declaration) = FileDescriptor(", closing: ")") { printer in
            printer.print("name: \"\(model.name.unicodeScalars.map(escaped).joined())\",")
            printer.print("fingerprint: \"\(model.fingerprint)\",")
            printer.print("dependencies: [\(model.dependencies.map(reference).joined(separator: ", "))],")
            printer.block("symbols: [", closing: "],") { printer in
                for symbol in model.symbols { printer.print("\"\(symbol)\",") }
            }
            printer.print("serialized: \"\"\"")
            printer.indent { printer in
                let lines = literal(model.serialized)
                for (index, line) in lines.enumerated() { printer.print(index + 1 < lines.count ? line + "\\" : line) }
                printer.print("\"\"\"")
            }
        }
    }

    private static func reference(_ dependency: DescriptorModel.Dependency) -> String {
        switch dependency {
        case .schema(let name): "\(name).file"
        case .embedded(let index): "import\(index)"
        }
    }

    /// The lines of a string literal that has the character U+00XX for each byte XX.
    private static func literal(_ bytes: [UInt8]) -> [String] {
        let lineLength = 100
        var lines = [""]
        for byte in bytes {
            if lines[lines.count - 1].utf8.count >= lineLength { lines.append("") }
            lines[lines.count - 1] += character(byte)
        }
        return lines
    }

    /// A file's name may have quotes and backslashes.
    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        scalar == "\"" || scalar == "\\" ? "\\\(scalar)" : String(scalar)
    }

    private static func character(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): "\\" + String(UnicodeScalar(byte))
        case 0x20..<0x7f: String(UnicodeScalar(byte))
        default: "\\u{\(String(byte, radix: 16))}"
        }
    }
}
