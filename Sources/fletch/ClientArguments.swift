internal import ArgumentParser
internal import FletchClient
internal import FletchRPC
internal import FletchTLS
internal import Foundation

/// Which server `fletch query` asks, and how.
struct ClientArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The server: HOST:PORT or unix:/PATH.", valueName: "address"))
    var server = "127.0.0.1:50051"

    @Option(
        help: ArgumentHelp(
            "Speak TLS to a server whose certificate these authorities vouch for (PEM); 'system' names those that this "
                + "machine trusts.", valueName: "file"))
    var tlsCA: String?

    @Option(help: ArgumentHelp("The certificate to show the server, and its chain (PEM).", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The key of --tls-cert, not encrypted (PEM).", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp("Whom the server's certificate is for, where not the host of --server.", valueName: "name"))
    var tlsServerName: String?

    @Option(
        help: ArgumentHelp(
            "Show the server the first bearer token of a file, one a line; without TLS it can be read on its way.",
            valueName: "file"))
    var authTokenFile: String?

    @Option(help: "Seconds to wait for the answer.")
    var timeout = 10.0

    @Flag(help: "Print the answer as JSON, with the field names of the proto3 mapping.")
    var json = false

    func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be above 0 and at most 86400 seconds")
        }
        guard tlsCA != nil || (tlsCert == nil && tlsKey == nil && tlsServerName == nil) else {
            throw ValidationError("--tls-cert, --tls-key and --tls-server-name need --tls-ca FILE, or --tls-ca system")
        }
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key go together: name the files of both, or none")
        }
    }

    /// What `call` is answered over a channel of its own.
    func ask<Answer>(_ call: (Channel, CallOptions) async throws -> Answer) async throws -> Answer {
        let channel = try Channel(to: server, ChannelConfiguration(tls: tls))
        var options = CallOptions(timeout: .seconds(timeout))
        if let authTokenFile {
            options.metadata.append("authorization", "Bearer \(try Self.token(in: authTokenFile))")
        }
        let answer = try await call(channel, options)
        await channel.close()
        return answer
    }

    /// Whom to trust and what to show; nil: no encryption.
    private var tls: TLSClientSettings? {
        tlsCA.map {
            TLSClientSettings(
                authorities: $0 == "system" ? nil : $0, certificateChain: tlsCert, privateKey: tlsKey,
                serverName: tlsServerName)
        }
    }

    /// The first token of a file as `fletch serve` reads it.
    private static func token(in path: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandError("--auth-token-file '\(path)' cannot be read; name a file with a token")
        }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        guard let token = lines.first(where: { !$0.isEmpty && !$0.hasPrefix("#") }),
            token.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw CommandError("--auth-token-file '\(path)' does not begin with a token; write one a line") }
        return token
    }
}
