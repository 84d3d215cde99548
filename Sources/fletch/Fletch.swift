internal import ArgumentParser
internal import Glibc

@main
struct Fletch: AsyncParsableCommand {
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

            'fletch --version' prints the version of this program.
            """,
        subcommands: [
            Train.self, Evaluate.self, Publish.self, Serve.self, Query.self, TablesCommand.self, SchemaCommand.self,
        ])

    static func main() async {
        openStandardFiles()
        // A file that may not grow is an error to report, not the end.
        signal(SIGXFSZ, SIG_IGN)
        do {
            // The parser's own flag would stand in for the --version of a subcommand that lacks another argument.
            guard CommandLine.arguments.dropFirst() != ["--version"] else { return try say(version) }
            var command = try parseAsRoot()
            do {
                if var command = command as? any AsyncParsableCommand {
                    try await command.run()
                } else {
                    try command.run()
                }
            } catch let error where exitCode(for: error) == .failure && !(error is ExitCode) {
                // An error of ours, not the parser's way to say that help was asked for.
                throw CommandError("\(error)")
            }
        } catch {
            exit(withError: error)
        }
    }

    /// Opens /dev/null where a standard file is closed, lest a table or a socket take its number and its text.
    private static func openStandardFiles() {
        while case let descriptor = open("/dev/null", O_RDWR), descriptor >= 0 {
            guard descriptor > STDERR_FILENO else { continue }
            close(descriptor)
            return
        }
    }
}
