internal import ArgumentParser
internal import FletchSchema
internal import FletchWire
internal import Tables

struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Print the schemas that this program was built with: fingerprint and file.",
        discussion: """
            A server sends the fingerprint of a method's file with every response, as fletch-schema:

              grpcurl -plaintext -v -d '{"productId": "phone"}' 127.0.0.1:50051 fletch.v1.RelatedProducts/Related

            With --store it also says of each table that serves under which schema it was written. Where that is another
            than this program's, the table can be read all the same as long as its format is the same.
            """)

    @Option(help: ArgumentHelp("Store of versioned tables, to be compared.", valueName: "dir"))
    var store: String?

    private static let files = [
        RelatedProductsSchema.file, ManifestSchema.file, Grpc_Channelz_V1_ChannelzSchema.file,
        HealthSchema.file, Grpc_Reflection_V1_ReflectionSchema.file,
        Grpc_Reflection_V1Alpha_ReflectionSchema.file,
    ]

    func run() throws {
        for file in Self.files { try say("\(file.fingerprint)  \(file.name)") }
        guard let store else { return }
        for name in try Store(path: store).names() { try compare(name, in: Store(path: store)) }
    }

    private func compare(_ name: String, in store: Store) throws {
        guard let version = try store.currentVersion(of: name) else {
            return try say("table \(name): no version serves")
        }
        let difference = try store.manifest(of: name, version: version).schemaDifference
        try say("table \(name)/\(version): \(difference ?? "written under the same schema")")
    }
}
