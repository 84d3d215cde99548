/// The plugin's parameter: `Name=value` pairs, separated by commas, spelt as users of protoc-gen-swift and
/// protoc-gen-grpc-swift know them.
struct GeneratorOptions: Equatable {
    enum Visibility: String, CaseIterable {
        case `internal` = "Internal"
        case `public` = "Public"
        case package = "Package"
    }

    /// Where the output of `a/b.proto` goes.
    enum FileNaming: String, CaseIterable {
        /// `a/b.fletch.swift`.
        case fullPath = "FullPath"
        /// `a_b.fletch.swift`: the Swift files of one module must have different names, also in different folders.
        case pathToUnderscores = "PathToUnderscores"
        /// `b.fletch.swift`.
        case dropPath = "DropPath"
    }

    /// Whether message and enum types are generated (`NAME.fletch.swift`).
    var messages = true
    /// Whether `NAME.fletch.grpc.swift` has what a server needs.
    var server = true
    /// Whether `NAME.fletch.grpc.swift` has clients.
    var client = true
    var visibility = Visibility.internal
    /// Whether imports say `public`, `package` or `internal`.
    var accessLevelOnImports = false
    var fileNaming = FileNaming.fullPath
    /// Which module has the code of which file.
    var moduleMappings = ModuleMappings()
    /// Modules that every file imports.
    var extraModuleImports: [String] = []

    /// The access of everything generated.
    var access: String { visibility.rawValue.lowercased() }
    var services: Bool { server || client }

    init() {}

    /// - Parameter readFile: Gives the bytes of a file that an option names; nil where it cannot be read.
    init(parameter: String, readFile: (String) -> [UInt8]?) throws(GeneratorError) {
        for pair in parameter.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if let remedy = Self.unneeded[parts[0]] {
                throw GeneratorError("option \(parts[0]) is not needed, \(remedy)")
            }
            guard let option = Option.all.first(where: { $0.name == parts[0] }) else {
                throw GeneratorError(
                    "there is no option '\(parts[0])'\(Spelling.hint(parts[0], among: Option.all.map(\.name))); "
                        + Self.help)
            }
            try option.set(&self, parts.count > 1 ? parts[1] : "", readFile)
        }
        guard messages || services else {
            throw GeneratorError("Messages, Server and Client are all false, which leaves nothing to generate")
        }
    }

    /// Options of protoc-gen-swift and protoc-gen-grpc-swift that have no counterpart.
    private static let unneeded = [
        "SwiftProtobufModuleName": "as generated code stands on FletchWire; leave it out",
        "GRPCModuleName": "as generated code stands on FletchRPC; leave it out",
        "ImplementationOnlyImports": "leave it out and give UseAccessLevelOnImports=true",
    ]

    static let help =
        "the options are " + Option.all.map { "\($0.name)=\($0.values.joined(separator: "|"))" }.joined(separator: ", ")
}

/// One option: what it is called, and what its value does.
private struct Option {
    let name: String
    /// The values that it can have, or a word that stands for any.
    let values: [String]
    let set: (inout GeneratorOptions, String, (String) -> [UInt8]?) throws(GeneratorError) -> Void

    static var all: [Option] {
        [
            choice("Visibility", \.visibility),
            choice("FileNaming", \.fileNaming),
            flag("Messages", \.messages),
            flag("Server", \.server),
            flag("Client", \.client),
            flag("UseAccessLevelOnImports", \.accessLevelOnImports),
            Option(name: "ProtoPathModuleMappings", values: ["FILE"]) {
                (options, path, readFile) throws(GeneratorError) in
                guard let bytes = readFile(path) else {
                    throw GeneratorError(
                        "option ProtoPathModuleMappings: '\(path)' cannot be read; give its path from the folder that "
                            + "protoc runs in")
                }
                options.moduleMappings = try ModuleMappings(String(decoding: bytes, as: UTF8.self), path: path)
            },
            Option(name: "ExtraModuleImports", values: ["MODULE"]) { (options, module, _) throws(GeneratorError) in
                guard Naming.isIdentifier(module) else {
                    throw GeneratorError(
                        "option ExtraModuleImports cannot be '\(module)'; give the name of a Swift module")
                }
                options.extraModuleImports.append(module)
            },
        ]
    }

    private static func flag(_ name: String, _ property: WritableKeyPath<GeneratorOptions, Bool>) -> Option {
        named(name, ["true": true, "false": false], property)
    }

    private static func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ name: String, _ property: WritableKeyPath<GeneratorOptions, Value>
    ) -> Option {
        named(name, Dictionary(uniqueKeysWithValues: Value.allCases.map { ($0.rawValue, $0) }), property)
    }

    /// An option with a value of a few, told apart without regard to case.
    private static func named<Value>(
        _ name: String, _ values: [String: Value], _ property: WritableKeyPath<GeneratorOptions, Value>
    ) -> Option {
        let spellings = values.keys.sorted()
        return Option(name: name, values: spellings) { (options, value, _) throws(GeneratorError) in
            guard let spelling = spellings.first(where: { $0.lowercased() == value.lowercased() }) else {
                throw GeneratorError(
                    "option \(name) cannot be '\(value)'\(Spelling.hint(value, among: spellings)); it is one of "
                        + spellings.joined(separator: ", "))
            }
            options[keyPath: property] = values[spelling]!
        }
    }
}
