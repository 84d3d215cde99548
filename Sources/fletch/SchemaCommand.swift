internal import ArgumentParser
internal import FletchClient
internal import FletchRPC
internal import FletchSchema
internal import FletchServiceSchema
internal import FletchWire
internal import Tables

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Print the schemas that this program was built with, and whether tables and servers agree.",
        discussion: """
            A line for each file, with its fingerprint: that is what a server sends with every response as fletch-schema,
            and what a table says that it was written under. Different ones need not disagree: fields that one side lacks
            are left out. Where a table's format is another, or a server lacks a service, they say so themselves.
            """)

    @Option(help: ArgumentHelp("Store whose tables are compared, those that serve.", valueName: "dir"))
    var store: String?

    @Option(help: ArgumentHelp("Server, without TLS, whose services are compared.", valueName: "host:port"))
    var server: String?

    private static let services = [
        RelatedProducts.descriptor, Health.descriptor, Grpc_Reflection_V1_ServerReflection.descriptor,
        Grpc_Reflection_V1Alpha_ServerReflection.descriptor, Grpc_Channelz_V1_Channelz.descriptor,
    ]

    func run() async throws {
        for file in [ManifestSchema.file] + Self.services.map(\.file) { try say("\(file.fingerprint)  \(file.name)") }
        if let store { try compare(Store(path: store)) }
        if let server { try await compare(server) }
    }

    private func compare(_ store: Store) throws {
        for name in try store.names() {
            guard let version = try store.currentVersion(of: name) else {
                try say("table \(name): no version serves")
                continue
            }
            let difference = try store.manifest(of: name, version: version).schemaDifference
            try say("table \(name)/\(version): \(difference ?? "written under the same schema")")
        }
    }

    private func compare(_ server: String) async throws {
        let channel = try Channel(to: server)
        for service in Self.services {
            let found = try await schema(of: service, on: channel)
            let text =
                found.map {
                    $0 == service.file.fingerprint
                        ? "the same schema" : "schema '\($0.inOneLine)', this build has '\(service.file.fingerprint)'"
                } ?? "not served, or its schema not said"
            try say("server \(service.name): \(text)")
        }
        await channel.close()
    }

    /// What the server says of a service, with the refusal of a method that none has.
    private func schema(of service: ServiceDescriptor, on channel: Channel) async throws -> String? {
        let received = ReceivedMetadata()
        let options = CallOptions(timeout: .seconds(10), received: received)
        do throws(RPCError) {
            let _: HealthCheckResponse = try await channel.unary("/\(service.name)/", HealthCheckRequest(), options)
        } catch {
            // Whatever a server answers has metadata; without, there was no answer.
            guard received.trailing != nil else { throw error }
        }
        return received.initial?["fletch-schema"] ?? received.trailing?["fletch-schema"]
    }
}
