// The client of gRPC's interoperability tests (gRPC: doc/interop-test-descriptions.md).

internal import ArgumentParser
internal import FletchClient
internal import FletchRPC
internal import FletchTLS
internal import Glibc

@main
struct InteropClient: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fletch-interop-client", abstract: "Make the calls of gRPC's interoperability tests.",
        discussion: "Prints a line for each test case that passed; ends with an error at the first that did not.")

    @Option(name: .customLong("server_host"), help: "The server's name or address.")
    var serverHost = "127.0.0.1"

    @Option(name: .customLong("server_port"), help: "The server's port.")
    var serverPort: UInt16

    @Option(
        name: .customLong("test_case"), parsing: .upToNextOption, help: "Names of test cases; all where none is given.")
    var testCases: [String] = []

    @Option(name: .customLong("ca_file"), help: "Authorities of the server's certificate, PEM: the port speaks TLS.")
    var authorities: String?

    @Option(name: .customLong("server_host_override"), help: "The name that the server's certificate is for.")
    var serverName: String?

    func run() async throws {
        let tls = authorities.map { TLSClientSettings(authorities: $0, serverName: serverName) }
        let channel = try Channel(to: "\(serverHost):\(serverPort)", ChannelConfiguration(tls: tls))
        let cases = TestCases(channel)
        for name in testCases.isEmpty ? TestCases.all.keys.sorted() : testCases {
            guard let test = TestCases.all[name] else {
                throw ValidationError(
                    "--test_case '\(name)' is none of \(TestCases.all.keys.sorted().joined(separator: ", "))")
            }
            do {
                try await test(cases)()
            } catch {
                throw Failure(description: "\(name): \(error)")
            }
            print("passed \(name)")
            fflush(nil)
        }
        await channel.close()
    }
}
