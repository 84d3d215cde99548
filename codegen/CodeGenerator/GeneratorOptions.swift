/// The plugin's parameter: `name=value` pairs, separated by commas.
struct GeneratorOptions: Equatable {
    enum Visibility: String, CaseIterable {
        case `public`, package, `internal`
    }

    /// Where the output of `a/b.proto` goes.
    enum FileNaming: String {
        /// `a/b.fletch.swift`.
        case fullPath = "full_path"
        /// `a.b.fletch.swift`: the Swift files of one module must have different names, also in different folders.
        case pathToDots = "path_to_dots"
    }

    /// Whether message and enum types are generated (`NAME.fletch.swift`).
    var messages = true
    /// Whether services and clients are generated (`NAME.fletch.grpc.swift`).
    var services = true
    var visibility = Visibility.internal
    var fileNaming = FileNaming.fullPath
    /// Modules that hold types the generated code refers to.
    var modules: [String] = []

    static let help =
        "the options are messages=true|false, services=true|false, visibility=public|package|internal, "
        + "file_naming=full_path|path_to_dots, module=NAME"

    init() {}

    init(parameter: String) throws(GeneratorError) {
        for pair in parameter.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            try set(parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    private mutating func set(_ name: String, _ value: String) throws(GeneratorError) {
        switch name {
        case "messages": messages = try Self.bool(name, value)
        case "services": services = try Self.bool(name, value)
        case "visibility":
            guard let visibility = Visibility(rawValue: value) else { throw Self.invalid(name, value) }
            self.visibility = visibility
        case "file_naming":
            guard let naming = FileNaming(rawValue: value) else { throw Self.invalid(name, value) }
            fileNaming = naming
        case "module":
            guard Naming.isIdentifier(value) else { throw Self.invalid(name, value) }
            modules.append(value)
        default: throw GeneratorError("unknown option '\(name)'; \(Self.help)")
        }
    }

    private static func bool(_ name: String, _ value: String) throws(GeneratorError) -> Bool {
        guard let bool = Bool(value) else { throw invalid(name, value) }
        return bool
    }

    private static func invalid(_ name: String, _ value: String) -> GeneratorError {
        GeneratorError("option \(name) cannot be '\(value)'; \(help)")
    }
}
