internal import FletchRPC
internal import FletchSchema
internal import FletchServiceSchema
internal import FletchWire

/// grpc.reflection over the descriptors of services.
struct Reflection: Grpc_Reflection_V1_ServerReflectionAsyncService {
    typealias Request = Grpc_Reflection_V1_ServerReflectionRequest
    typealias Response = Grpc_Reflection_V1_ServerReflectionResponse

    private typealias Alpha = Grpc_Reflection_V1Alpha_ServerReflection

    /// The methods of both versions, for the services of `methods` and themselves.
    static func methods(of methods: [Method]) -> [Method] {
        let own = [Grpc_Reflection_V1_ServerReflection.descriptor, Alpha.descriptor]
        let reflection = Reflection(index: DescriptorIndex(methods.compactMap(\.service) + own))
        // On the wire the messages of v1alpha are those of v1.
        let alpha = Method(
            path: Alpha.Path.serverReflectionInfo, service: Alpha.descriptor,
            bidirectional: { (requests: RequestStream<Request>, responses: ResponseWriter<Response>, call: AsyncCall) in
                try await reflection.serverReflectionInfo(requests, responses, call)
            })
        return Grpc_Reflection_V1_ServerReflection.methods(reflection) + [alpha]
    }

    let index: DescriptorIndex

    func serverReflectionInfo(
        _ requests: RequestStream<Request>, _ responses: ResponseWriter<Response>, _ call: AsyncCall
    ) async throws {
        var sent: Set<String> = []
        for try await request in requests {
            let answer = answer(request, sent: &sent)
            try await responses.write(
                Response(validHost: request.host, originalRequest: request, messageResponse: answer))
        }
    }

    /// - Parameter sent: The names of the files that the stream has carried.
    private func answer(_ request: Request, sent: inout Set<String>) -> Response.OneOf_MessageResponse {
        switch request.messageRequest {
        case .fileByFilename(let name):
            return files(index.file(named: name), sent: &sent, missing: "file '\(name)'")
        case .fileContainingSymbol(let symbol):
            return files(index.file(declaring: symbol), sent: &sent, missing: "symbol '\(symbol)'")
        case .fileContainingExtension(let request):
            // proto3 has none but those of options, which no message of a service carries.
            return notFound("extension \(request.extensionNumber) of '\(request.containingType)'")
        case .allExtensionNumbersOfType(let type):
            guard index.file(declaring: type) != nil else { return notFound("type '\(type)'") }
            return .allExtensionNumbersResponse(.init(baseTypeName: type))
        case .listServices:
            return .listServicesResponse(.init(service: index.services.map { .init(name: $0) }))
        case nil:
            return error(.invalidArgument, "the request asks for nothing; set one of the fields of message_request")
        }
    }

    /// The file, even where it was sent before, then what it imports, but for what was sent before.
    private func files(
        _ file: FileDescriptor?, sent: inout Set<String>, missing name: String
    ) -> Response.OneOf_MessageResponse {
        guard let file else { return notFound(name) }
        sent.insert(file.name)
        var files = [file.serialized]
        var pending = file.dependencies
        while let next = pending.popLast() {
            guard sent.insert(next.name).inserted else { continue }
            files.append(next.serialized)
            pending += next.dependencies
        }
        return .fileDescriptorResponse(.init(fileDescriptorProto: files))
    }

    private func notFound(_ what: String) -> Response.OneOf_MessageResponse {
        error(.notFound, "the server knows no \(what)")
    }

    private func error(_ code: StatusCode, _ message: String) -> Response.OneOf_MessageResponse {
        .errorResponse(.init(errorCode: Int32(code.rawValue), errorMessage: message))
    }
}

/// Finds files by their names and by what they declare, those that others import included.
struct DescriptorIndex: Sendable {
    /// Full names, in their order.
    let services: [String]
    private var filesByName: [String: FileDescriptor] = [:]
    private var filesBySymbol: [String: FileDescriptor] = [:]

    init(_ services: [ServiceDescriptor]) {
        self.services = Set(services.map(\.name)).sorted()
        var pending = services.map(\.file)
        while let file = pending.popLast() {
            guard filesByName.updateValue(file, forKey: file.name) == nil else { continue }
            for symbol in file.symbols { filesBySymbol[symbol] = file }
            pending += file.dependencies
        }
    }

    func file(named name: String) -> FileDescriptor? { filesByName[name] }

    func file(declaring symbol: String) -> FileDescriptor? { filesBySymbol[symbol] }
}
