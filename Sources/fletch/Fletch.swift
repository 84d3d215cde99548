internal import ArgumentParser

@main
struct Fletch: ParsableCommand {
    static let version = "0.1.0"
    /// What tables say of the program that wrote them.
    static let buildID = "fletch \(version)"

    static let configuration = CommandConfiguration(
        commandName: "fletch",
        abstract: "Learns, publishes and serves related products: what to offer next, and only in that direction.",
        discussion: """
            From a file of edges to an answer:

              fletch train related --edges edges.csv --output embeddings
              fletch publish --related embeddings --store store
              fletch serve --store store --listen 127.0.0.1:50051
              fletch query related --server 127.0.0.1:50051 --product phone
            """,
        version: version,
        subcommands: [Train.self, Evaluate.self, Publish.self, Serve.self, Query.self, TablesCommand.self])
}
