internal import FletchWire

/// The plugin: a request from protoc in, a response out.
public enum CodeGenerator {
    /// What the plugin prints to someone who runs it by hand.
    public static let usage = """
        protoc-gen-fletch is a plugin of protoc. Run it by

            protoc --plugin=protoc-gen-fletch=PATH -I PROTO_ROOT --fletch_out=OPTIONS:OUTPUT_FOLDER FILES

        where \(GeneratorOptions.help), separated by commas.
        """

    /// Schemas have no size limit in protoc; this one only stops runaway input.
    private static let limits = DecodeLimits(memory: 1 << 30)

    /// Answers an encoded `CodeGeneratorRequest` with an encoded `CodeGeneratorResponse`. What is wrong with the
    /// schemas or the options is in the response, where protoc prints it.
    public static func respond(to request: [UInt8]) -> [UInt8] {
        var response = CodeGeneratorResponse(supportedFeatures: proto3Optional)
        do throws(GeneratorError) {
            response.file = try generate(decode(request), serialized: SerializedFiles.of(request: request))
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
        _ request: CodeGeneratorRequest, serialized: [[UInt8]]
    ) throws(GeneratorError) -> [CodeGeneratorResponse.File] {
        let options = try GeneratorOptions(parameter: request.parameter)
        let index = TypeIndex(request.protoFile)
        let descriptors = DescriptorBuilder(
            request.protoFile, serialized: serialized, generated: request.fileToGenerate)
        var names = SwiftNames(
            remedy: "give one of the files another 'option swift_prefix', or generate them into separate modules")
        var output: [CodeGeneratorResponse.File] = []
        for file in request.protoFile where request.fileToGenerate.contains(file.name) {
            let model = try ModelBuilder.build(file, index: index, descriptors: descriptors)
            let generator = FileGenerator(file: model, options: options)
            for (name, owner) in generator.declarations { try names.claim(name, for: owner, in: file.name) }
            output += files(generator)
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
