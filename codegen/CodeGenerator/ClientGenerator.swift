/// Writes a service's client.
struct ClientGenerator {
    private let model: ServiceModel
    private let access: String

    init(_ model: ServiceModel, _ options: GeneratorOptions) {
        self.model = model
        access = options.access
    }

    func print(_ printer: inout Printer) {
        printer.print("")
        printer.document(
            "Calls `\(model.fullName)` over a channel. A call ends when the task that waits for it is cancelled.")
        printer.block("\(access) struct \(model.swiftName)Client: Sendable {") { printer in
            printer.print(
                "private let channel: any ClientChannel", "",
                "\(access) init(_ channel: any ClientChannel) { self.channel = channel }")
            for method in model.methods {
                printer.print("")
                printer.document(method.comment)
                print(method, &printer)
            }
        }
    }

    private func print(_ method: ServiceModel.Method, _ printer: inout Printer) {
        let path = "\(model.swiftName).Path.\(method.swiftName)"
        let options = "options: CallOptions = CallOptions()"
        let writer = "RequestWriter<\(method.input)>"
        let stream = "ResponseStream<\(method.output)>"
        let (signature, call) =
            switch (method.clientStreaming, method.serverStreaming) {
            case (false, false):
                (
                    "func \(method.swiftName)(_ request: \(method.input), \(options)) "
                        + "async throws(RPCError) -> \(method.output)",
                    "try await channel.unary(\(path), request, options)"
                )
            case (false, true):
                (
                    "func \(method.swiftName)(_ request: \(method.input), \(options)) "
                        + "async throws(RPCError) -> \(stream)",
                    "try channel.serverStreaming(\(path), request, options)"
                )
            case (true, false):
                (
                    "nonisolated(nonsending) func \(method.swiftName)(\(options), "
                        + "_ write: (\(writer)) async throws -> Void) async throws -> \(method.output)",
                    "try await channel.clientStreaming(\(path), options, write)"
                )
            case (true, true):
                (
                    "nonisolated(nonsending) func \(method.swiftName)<BodyResult>(\(options), "
                        + "_ body: (\(writer), \(stream)) async throws -> BodyResult) async throws -> BodyResult",
                    "try await channel.bidirectional(\(path), options, body)"
                )
            }
        printer.block("\(access) \(signature) {") { $0.print(call) }
    }
}
