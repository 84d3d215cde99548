/// Writes a service: its names, and for a server what implements it and its method descriptors.
struct ServiceGenerator {
    private let model: ServiceModel
    private let schemaName: String
    private let access: String
    private let attributes: String
    private let server: Bool

    init(_ model: ServiceModel, _ options: GeneratorOptions, schemaName: String) {
        self.model = model
        self.schemaName = schemaName
        access = options.access
        attributes = options.inlinable + access
        server = options.server
    }

    func print(_ printer: inout Printer) {
        printNames(&printer)
        guard server else { return }
        printProtocol(&printer)
        printValueProtocol(&printer)
        printAsyncProtocol(&printer)
        printAdapter(&printer)
    }

    // MARK: - Names and methods

    private func printNames(_ printer: inout Printer) {
        printer.print("")
        printer.document(model.comment)
        printer.block("\(access) enum \(model.swiftName) {") { printer in
            printer.document("The service's full name.")
            printer.print("\(access) static let name = \"\(model.fullName)\"", "")
            printer.document("What reflection says of the service.")
            printer.print(
                "\(access) static let descriptor = ServiceDescriptor(name: name, file: \(schemaName).file)", "")
            printer.document("The request path of each method.")
            printer.block("\(access) enum Path {") { printer in
                for method in model.methods {
                    printer.document("The path of `\(method.name)`.")
                    printer.print(
                        "\(access) static let \(method.swiftName) = \"/\(model.fullName)/\(method.name)\"")
                }
            }
            guard server else { return }
            printMethods(&printer)
            printValueMethods(&printer)
            printAsyncMethods(&printer)
        }
    }

    private func printMethods(_ printer: inout Printer) {
        printer.print("")
        printer.document("The service's methods as a server dispatches them, carried out by `service`.")
        printMethods(attributes, of: "Service", &printer) { method, printer in
            printer.block(
                "Method(path: Path.\(method.swiftName), service: descriptor) { (call: UnaryCall) throws(RPCError) in",
                closing: "},"
            ) { printer in
                printer.print("let request = try call.decode(\(method.input).View.self, limits: limits)")
                printer.print("let response = \(method.output).Builder(in: call.arena)")
                printer.print("try service.\(method.swiftName)(request, response, call)")
                printer.print("try call.respond(response)")
            }
        }
    }

    private func printValueMethods(_ printer: inout Printer) {
        printer.print("")
        printer.document("The same for a service over plain values.")
        printer.block(methodsFunction(access, of: "ValueService")) { printer in
            printer.print("methods(\(model.swiftName)ValueAdapter(service: service), limits: limits)")
        }
    }

    private func printAsyncMethods(_ printer: inout Printer) {
        printer.print("")
        printer.document("The same for a service whose methods may wait.")
        printMethods(access, of: "AsyncService", &printer) { method, printer in
            printTask(
                "unary", method, "(request: \(method.input), call: AsyncCall)", "(request, call)", &printer)
        }
    }

    private func methodsFunction(_ attributes: String, of face: String) -> String {
        "\(attributes) static func methods(_ service: some \(model.swiftName)\(face), "
            + "limits: DecodeLimits = DecodeLimits()) -> [Method] {"
    }

    /// The methods of one face: unary ones as it has them, streams as all have them.
    private func printMethods(
        _ attributes: String, of face: String, _ printer: inout Printer,
        unary printUnary: (ServiceModel.Method, inout Printer) -> Void
    ) {
        printer.block(methodsFunction(attributes, of: face)) { printer in
            printer.block("[", closing: "]") { printer in
                for method in model.methods {
                    if method.isStreaming { printStream(method, &printer) } else { printUnary(method, &printer) }
                }
            }
        }
    }

    private func printStream(_ method: ServiceModel.Method, _ printer: inout Printer) {
        let kind =
            switch (method.clientStreaming, method.serverStreaming) {
            case (false, _): "serverStreaming"
            case (true, false): "clientStreaming"
            case (true, true): "bidirectional"
            }
        let stream = Stream(method)
        let parameters = stream.parameters.map { "\($0.name): \($0.type)" }.joined(separator: ", ")
        let arguments = stream.parameters.map(\.name).joined(separator: ", ")
        printTask(kind, method, "(\(parameters))", "(\(arguments))", &printer)
    }

    /// A method that runs as a task.
    private func printTask(
        _ kind: String, _ method: ServiceModel.Method, _ parameters: String, _ arguments: String,
        _ printer: inout Printer
    ) {
        printer.block("Method(", closing: "),") { printer in
            printer.print("path: Path.\(method.swiftName), service: descriptor, limits: limits,")
            printer.block("\(kind): { \(parameters) in") { printer in
                printer.print("try await service.\(method.swiftName)\(arguments)")
            }
        }
    }

    /// How a streaming method looks, in every face.
    private struct Stream {
        let parameters: [(name: String, type: String)]
        /// ` -> Response` where there is one.
        let result: String

        init(_ method: ServiceModel.Method) {
            var parameters: [(name: String, type: String)] = [
                method.clientStreaming
                    ? ("requests", "RequestStream<\(method.input)>") : ("request", method.input)
            ]
            if method.serverStreaming { parameters.append(("responses", "ResponseWriter<\(method.output)>")) }
            self.parameters = parameters + [("call", "AsyncCall")]
            result = method.serverStreaming ? "" : " -> \(method.output)"
        }
    }

    // MARK: - Protocols

    private func printProtocol(_ printer: inout Printer) {
        let streams = model.hasStreams ? " Methods that stream run as tasks, over plain values." : ""
        printProtocol(
            "Service", "Implemented over messages in the call's arena: nothing is copied or allocated.\(streams)",
            isSendable: model.hasStreams, &printer, unary: Self.requirement)
    }

    private func printValueProtocol(_ printer: inout Printer) {
        printProtocol(
            "ValueService", "Implemented over plain values.", isSendable: model.hasStreams, &printer
        ) { method in
            "func \(method.swiftName)(_ request: \(method.input), _ call: UnaryCall) "
                + "throws(RPCError) -> \(method.output)"
        }
    }

    private func printAsyncProtocol(_ printer: inout Printer) {
        printProtocol(
            "AsyncService", "Implemented over plain values, each call a task of its own, which may wait.",
            isSendable: true, &printer
        ) { method in
            "func \(method.swiftName)(_ request: \(method.input), _ call: AsyncCall) async throws -> \(method.output)"
        }
    }

    private func printProtocol(
        _ face: String, _ note: String, isSendable: Bool, _ printer: inout Printer,
        unary requirement: (ServiceModel.Method) -> String
    ) {
        printer.print("")
        printer.document(model.comment)
        printer.document("\n" + note)
        let refined = isSendable ? ": Sendable" : ""
        printer.block("\(access) protocol \(model.swiftName)\(face)\(refined) {") { printer in
            for (index, method) in model.methods.enumerated() {
                if index > 0 { printer.print("") }
                printer.document(method.comment)
                printer.print(method.isStreaming ? Self.streamRequirement(method) : requirement(method))
            }
        }
    }

    private static func requirement(_ method: ServiceModel.Method) -> String {
        "func \(method.swiftName)(_ request: \(method.input).View, _ response: \(method.output).Builder, "
            + "_ call: UnaryCall) throws(RPCError)"
    }

    private static func streamRequirement(_ method: ServiceModel.Method) -> String {
        let stream = Stream(method)
        let parameters = stream.parameters.map { "_ \($0.name): \($0.type)" }.joined(separator: ", ")
        return "func \(method.swiftName)(\(parameters)) async throws\(stream.result)"
    }

    private func printAdapter(_ printer: inout Printer) {
        printer.print("")
        printer.document("Serves a service over plain values.")
        printer.block(
            "private struct \(model.swiftName)ValueAdapter<Service: \(model.swiftName)ValueService>: "
                + "\(model.swiftName)Service {"
        ) { printer in
            printer.print("let service: Service")
            for method in model.methods {
                printer.print("")
                if method.isStreaming {
                    let arguments = Stream(method).parameters.map(\.name).joined(separator: ", ")
                    printer.block(Self.streamRequirement(method) + " {") { printer in
                        printer.print("try await service.\(method.swiftName)(\(arguments))")
                    }
                } else {
                    printer.block(Self.requirement(method) + " {") { printer in
                        printer.print(
                            "try service.\(method.swiftName)(\(method.input)(request), call).copy(into: response)")
                    }
                }
            }
        }
    }
}
