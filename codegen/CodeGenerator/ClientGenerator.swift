/// Writes a service's client.
struct ClientGenerator {
    private let model: ServiceModel
    private let access: String

    init(_ model: ServiceModel, _ options: GeneratorOptions) {
        self.model = model
        access = options.access
    }

    func print(_ printer: inout Printer) {
        guard !model.unaryMethods.isEmpty else { return }
        printer.print("")
        let streams = model.hasStreams ? " Methods that stream are left out." : ""
        printer.document("Calls `\(model.fullName)` over a channel.\(streams)")
        printer.block("\(access) struct \(model.swiftName)Client<Channel: ClientChannel> {") { printer in
            printer.print(
                "private let channel: Channel", "", "\(access) init(_ channel: Channel) { self.channel = channel }")
            for method in model.unaryMethods {
                printer.print("")
                printer.document(method.comment)
                printer.block(
                    "\(access) func \(method.swiftName)(_ request: \(method.input), "
                        + "options: CallOptions = CallOptions()) throws(RPCError) -> \(method.output) {"
                ) { printer in
                    printer.print("try channel.call(\(model.swiftName).Path.\(method.swiftName), request, options)")
                }
            }
        }
    }
}
