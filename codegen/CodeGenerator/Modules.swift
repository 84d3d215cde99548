/// Which Swift module has the code of each `.proto` file of a run.
struct Modules {
    private let mappings: ModuleMappings
    private let generated: Set<String>

    /// The module that has protobuf's well-known types.
    static let wellKnownTypes = "FletchWellKnownTypes"

    private static let wellKnownFiles: Set<String> = Set(
        [
            "any", "api", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type",
            "wrappers",
        ].map { "google/protobuf/\($0).proto" })

    /// - Parameter generated: The files that this run generates.
    init(_ mappings: ModuleMappings, generated: Set<String>) {
        self.mappings = mappings
        self.generated = generated
    }

    /// Whether one file's code sees another's without an import, as this run makes both for one module.
    func areTogether(_ file: String, _ other: String) -> Bool {
        generated.contains(other) && module(of: file) == module(of: other)
    }

    /// What the code of `file` must import to see that of `others`.
    func imports(of file: String, from others: Set<String>) -> Set<String> {
        Set(others.compactMap(module)).subtracting([module(of: file)].compactMap { $0 })
    }

    /// Nil where it is that of the files being generated, or one that `ExtraModuleImports` names.
    func module(of file: String) -> String? {
        if let module = mappings[file] { return module }
        return Self.wellKnownFiles.contains(file) && !generated.contains(file) ? Self.wellKnownTypes : nil
    }
}
