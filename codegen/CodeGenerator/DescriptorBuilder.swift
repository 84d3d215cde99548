/// Makes what reflection hands out of the files of a request.
struct DescriptorBuilder {
    private let files: [String: (file: FileDescriptorProto, serialized: [UInt8])]
    private let fingerprint: Fingerprint
    private let modules: Modules
    private let index: TypeIndex

    /// - Parameter serialized: The files as protoc encoded them, in the same order.
    init(_ files: [FileDescriptorProto], serialized: [[UInt8]], modules: Modules, index: TypeIndex) {
        self.files = Dictionary(zip(files, serialized).map { ($0.name, ($0, $1)) }) { first, _ in first }
        fingerprint = Fingerprint(files)
        self.modules = modules
        self.index = index
    }

    /// A file's descriptor.
    ///
    /// - Parameter referenced: The files whose generated code the file's messages refer to.
    func descriptor(of name: String, referenced: Set<String>) throws(GeneratorError) -> DescriptorModel {
        var embedded: [DescriptorModel] = []
        let reachable = referenced.union(files.keys.filter { modules.areTogether(name, $0) })
        var descriptor = try descriptor(of: name, reachable: reachable, &embedded)
        descriptor.embedded = embedded
        return descriptor
    }

    /// An import has generated code in reach where this run makes it for the same module or where messages need it
    /// anyway. Others (imported for their options, or proto2) may have none, so their descriptors are embedded in those
    /// of who imports them.
    private func descriptor(
        of name: String, reachable: Set<String>, _ embedded: inout [DescriptorModel]
    ) throws(GeneratorError) -> DescriptorModel {
        guard let (file, serialized) = files[name] else {
            throw GeneratorError("\(name) is imported, but the request does not hold it; run this program by protoc")
        }
        var dependencies: [DescriptorModel.Dependency] = []
        for name in file.dependency {
            if reachable.contains(name), let schema = index.schemas[name] {
                dependencies.append(.schema(schema))
                continue
            }
            if !embedded.contains(where: { $0.name == name }) {
                let descriptor = try descriptor(of: name, reachable: reachable, &embedded)
                embedded.append(descriptor)
            }
            dependencies.append(.embedded(embedded.firstIndex { $0.name == name }!))
        }
        return DescriptorModel(
            name: name, fingerprint: fingerprint.of(file), dependencies: dependencies, symbols: Self.symbols(of: file),
            serialized: serialized)
    }

    private static func symbols(of file: FileDescriptorProto) -> [String] {
        let scope = file.package.isEmpty ? "" : file.package + "."
        return file.messageType.flatMap { symbols(of: $0, scope) } + file.enumType.map { scope + $0.name }
            + file.service.flatMap { service in
                [scope + service.name] + service.method.map { "\(scope)\(service.name).\($0.name)" }
            }
    }

    private static func symbols(of message: DescriptorProto, _ scope: String) -> [String] {
        let name = scope + message.name
        return [name] + message.nestedType.flatMap { symbols(of: $0, name + ".") }
            + message.enumType.map { "\(name).\($0.name)" }
    }
}
