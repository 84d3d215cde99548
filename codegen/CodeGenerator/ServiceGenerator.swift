/// Writes a service: what implements it, its method descriptors, and a client.
struct ServiceGenerator {
    private let model: ServiceModel
    private let access: String
    private let attributes: String

    init(_ model: ServiceModel, _ options: GeneratorOptions) {
        self.model = model
        access = options.visibility.rawValue
        attributes = options.inlinable + access
    }

    func print(_ printer: inout Printer) {
        printNames(&printer)
        printProtocol(&printer)
        printValueProtocol(&printer)
        printAdapter(&printer)
        printClient(&printer)
    }

    private func printNames(_ printer: inout Printer) {
        printer.print("")
        printer.document(model.comment)
        printer.block("\(access) enum \(model.swiftName) {") { printer in
            printer.document("The service's full name.")
            printer.print("\(access) static let name = \"\(model.fullName)\"", "")
            printer.document("The request path of each method.")
            printer.block("\(access) enum Path {") { printer in
                for method in model.methods {
                    printer.document("The path of `\(method.name)`.")
                    printer.print(
                        "\(access) static let \(method.swiftName) = \"/\(model.fullName)/\(method.name)\"")
                }
            }
            printMethods(&printer)
        }
    }

    private func printMethods(_ printer: inout Printer) {
        printer.print("")
        printer.document("The service's methods as a server dispatches them, carried out by `service`.")
        printer.block(
            "\(attributes) static func methods(_ service: some \(model.swiftName)Service, "
                + "limits: DecodeLimits = DecodeLimits()) -> [Method] {"
        ) { printer in
            printer.block("[", closing: "]") { printer in
                for method in model.methods {
                    printer.block(
                        "Method(path: Path.\(method.swiftName)) { (call) throws(RPCError) in", closing: "},"
                    ) {
                        printer in
                        printer.print("let request = try call.decode(\(method.input).View.self, limits: limits)")
                        printer.print("let response = \(method.output).Builder(in: call.arena)")
                        printer.print("try service.\(method.swiftName)(request, response, call)")
                        printer.print("try call.respond(response)")
                    }
                }
            }
        }
        printer.print("")
        printer.document("The same for a service over plain values.")
        printer.block(
            "\(access) static func methods(_ service: some \(model.swiftName)ValueService, "
                + "limits: DecodeLimits = DecodeLimits()) -> [Method] {"
        ) { printer in
            printer.print("methods(\(model.swiftName)ValueAdapter(service: service), limits: limits)")
        }
    }

    private func printProtocol(_ printer: inout Printer) {
        printer.print("")
        printer.document(model.comment)
        printer.document("\nImplemented over messages in the call's arena: nothing is copied or allocated.")
        printer.block("\(access) protocol \(model.swiftName)Service {") { printer in
            for (index, method) in model.methods.enumerated() {
                if index > 0 { printer.print("") }
                printer.document(method.comment)
                printer.print(Self.requirement(method))
            }
        }
    }

    private static func requirement(_ method: ServiceModel.Method) -> String {
        "func \(method.swiftName)(_ request: \(method.input).View, _ response: \(method.output).Builder, "
            + "_ call: UnaryCall) throws(RPCError)"
    }

    private func printValueProtocol(_ printer: inout Printer) {
        printer.print("")
        printer.document(model.comment)
        printer.document("\nImplemented over plain values.")
        printer.block("\(access) protocol \(model.swiftName)ValueService {") { printer in
            for (index, method) in model.methods.enumerated() {
                if index > 0 { printer.print("") }
                printer.document(method.comment)
                printer.print(
                    "func \(method.swiftName)(_ request: \(method.input), _ call: UnaryCall) "
                        + "throws(RPCError) -> \(method.output)")
            }
        }
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
                printer.block(Self.requirement(method) + " {") { printer in
                    printer.print(
                        "try service.\(method.swiftName)(\(method.input)(request), call).copy(into: response)")
                }
            }
        }
    }

    private func printClient(_ printer: inout Printer) {
        printer.print("")
        printer.document("Calls `\(model.fullName)` over a channel.")
        printer.block("\(access) struct \(model.swiftName)Client<Channel: ClientChannel> {") { printer in
            printer.print(
                "private let channel: Channel", "", "\(access) init(_ channel: Channel) { self.channel = channel }")
            for method in model.methods {
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
