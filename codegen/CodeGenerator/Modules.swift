/// Which Swift module has the code of each `.proto` file of a run.
struct Modules {
    private let mappings: ModuleMappings
    private let generated: Set<String>
    /// Whether a file without a mapping can be nowhere.
    private let areAllMapped: Bool

    /// The module that has protobuf's well-known types.
    static let wellKnownTypes = "FletchWellKnownTypes"

    private static let wellKnownFiles: Set<String> = Set(
        [
            "any", "api", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type",
            "wrappers",
        ].map { "google/protobuf/\($0).proto" })

    /// - Parameter generated: The files that this run generates.
    init(_ options: GeneratorOptions, generated: Set<String>) {
        mappings = options.moduleMappings
        self.generated = generated
        areAllMapped = !mappings.isEmpty && options.extraModuleImports.isEmpty
    }

    /// Whether one file's code sees another's without an import, as this run makes both for one module.
    func areTogether(_ file: String, _ other: String) -> Bool {
        generated.contains(other) && module(of: file) == module(of: other)
    }

    /// What the code of `file` must import to see that of `others`.
    ///
    /// - Throws: Where there are mappings, but none for one of them.
    func imports(of file: String, from others: Set<String>) throws(GeneratorError) -> Set<String> {
        if areAllMapped, let lost = others.subtracting(generated).filter({ module(of: $0) == nil }).min() {
            throw GeneratorError(
                "\(file): \(lost), whose types it uses, has no mapping; add it to the file that ProtoPathModuleMappings "
                    + "names, or name its module by ExtraModuleImports")
        }
        return Set(others.compactMap(module)).subtracting([module(of: file)].compactMap { $0 })
    }

    /// Nil where it is that of the files being generated, or one that `ExtraModuleImports` names.
    func module(of file: String) -> String? {
        if let module = mappings[file] { return module }
        return Self.wellKnownFiles.contains(file) && !generated.contains(file) ? Self.wellKnownTypes : nil
    }
}
