internal import FletchWire

/// The plugin: a request from protoc in, a response out.
public enum CodeGenerator {
    /// What the plugin prints to someone who runs it by hand.
    public static let usage = """
        protoc-gen-fletch is a plugin of protoc. Run it by

            protoc --plugin=protoc-gen-fletch=PATH -I PROTO_ROOT --fletch_out=OPTIONS:OUTPUT_FOLDER FILES

        where \(GeneratorOptions.help), separated by commas.
        codegen/README.md says what each is for.
        """

    /// Schemas have no size limit in protoc; this one only stops runaway input.
    private static let limits = DecodeLimits(memory: 1 << 30)

    /// Answers an encoded `CodeGeneratorRequest` with an encoded `CodeGeneratorResponse`. What is wrong with the
    /// schemas or the options is in the response, where protoc prints it.
    ///
    /// - Parameter readFile: Gives the bytes of a file that an option names; nil where it cannot be read.
    public static func respond(to request: [UInt8], readFile: (String) -> [UInt8]?) -> [UInt8] {
        var response = CodeGeneratorResponse(supportedFeatures: proto3Optional)
        do throws(GeneratorError) {
            let decoded = try decode(request)
            let options = try GeneratorOptions(parameter: decoded.parameter, readFile: readFile)
            response.file = try generate(decoded, options, serialized: SerializedFiles.of(request: request))
        } catch {
            response.error = error.description
        }
        return response.encoded()
    }

    /// The feature bit for proto3 `optional`.
    private static let proto3Optional: UInt64 = 1

    private static func decode(_ bytes: [UInt8]) throws(GeneratorError) -> CodeGeneratorRequest {
        do throws(WireError) {
            return try CodeGeneratorRequest(decoding: bytes, limits: limits)
        } catch {
            throw GeneratorError("standard input is not a CodeGeneratorRequest (\(error)); run this program by protoc")
        }
    }

    /// The output files of a request, in the order of its files.
    ///
    /// - Parameter serialized: The request's files as protoc encoded them.
    private static func generate(
        _ request: CodeGeneratorRequest, _ options: GeneratorOptions, serialized: [[UInt8]]
    ) throws(GeneratorError) -> [CodeGeneratorResponse.File] {
        let generated = Set(request.fileToGenerate)
        let index = TypeIndex(request.protoFile)
        let modules = Modules(options.moduleMappings, generated: generated)
        let descriptors = DescriptorBuilder(request.protoFile, serialized: serialized, modules: modules, index: index)
        // For each module.
        var names: [String?: SwiftNames] = [:]
        var outputs = SwiftNames.files
        var output: [CodeGeneratorResponse.File] = []
        for file in request.protoFile where generated.contains(file.name) {
            let model = try ModelBuilder.build(file, index: index, modules: modules, descriptors: descriptors)
            let generator = FileGenerator(file: model, options: options)
            let module = modules.module(of: file.name)
            for (name, owner) in generator.declarations {
                try names[module, default: .types].claim(name, for: owner, in: file.name)
            }
            let written = files(generator)
            for name in written.map(\.name) { try outputs.claim(name, for: file.name, in: file.name) }
            output += written
        }
        return output
    }

    private static func files(_ generator: FileGenerator) -> [CodeGeneratorResponse.File] {
        var files: [CodeGeneratorResponse.File] = []
        if generator.options.messages {
            files.append(.init(name: generator.outputName(".fletch.swift"), content: generator.messages()))
        }
        if generator.options.services, !generator.file.services.isEmpty {
            files.append(.init(name: generator.outputName(".fletch.grpc.swift"), content: generator.services()))
        }
        return files
    }
}
