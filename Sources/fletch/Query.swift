internal import ArgumentParser
internal import FletchClient
internal import FletchJSON
internal import Foundation
internal import FletchRPC
internal import FletchSchema
internal import FletchServiceSchema
internal import FletchTLS
internal import Tables

struct Query: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a server.", subcommands: [QueryRelated.self])
}

struct QueryRelated: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "related",
        abstract: "Ask what a product, a cart or a source vector leads to.",
        discussion: """
              fletch query related --product phone --limit 5
              fletch query related --product phone --product tablet --exclude case-17
            """)

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

    @Option(help: ArgumentHelp("A product's id; given several times, they are a cart.", valueName: "id"))
    var product: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("A source vector instead: coordinates separated by commas.", valueName: "x,y,...")
    )
    var vector: String?

    @Option(help: "Items wanted; the server's default, 10, where not given.")
    var limit: UInt32 = 0

    @Option(help: ArgumentHelp("An id that must not be in the answer; may be repeated.", valueName: "id"))
    var exclude: [String] = []

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

    func run() async throws {
        let channel = try Channel(to: server, ChannelConfiguration(tls: tls))
        var options = CallOptions(timeout: .seconds(timeout))
        if let authTokenFile {
            options.metadata.append("authorization", "Bearer \(try Self.token(in: authTokenFile))")
        }
        let response = try await RelatedProductsClient(channel).related(request(), options: options)
        await channel.close()
        if json {
            try printJSON(response)
        } else {
            try printTable(response)
        }
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

    private func request() throws -> RelatedRequest {
        var request = RelatedRequest(limit: limit, excludeProductIds: exclude)
        if product.count == 1 {
            request.productID = product[0]
        } else {
            request.productIds = product
        }
        if let vector {
            request.sourceVector = try vector.split(separator: ",", omittingEmptySubsequences: false).map {
                guard let coordinate = Float($0.trimmingCharacters(in: .whitespaces)) else {
                    throw CommandError("--vector: '\($0)' is not a number; separate numbers by commas")
                }
                return coordinate
            }
        }
        return request
    }

    private func printTable(_ response: RelatedResponse) throws {
        let how = response.path == .list ? "from its list" : "by a scan"
        let what = vector == nil ? product.joined(separator: ", ") : "the vector"
        let end = response.items.isEmpty ? " nothing: the table has no other product" : ":"
        try say("\(what.inOneLine) leads to (table version \(response.tableVersion), \(how))\(end)")
        for item in response.items {
            try say(String(format: "%10.4f  ", item.score) + item.productID.inOneLine)
        }
    }

    private func printJSON(_ response: RelatedResponse) throws {
        var options = JSONEncodingOptions()
        options.isPretty = true
        options.alwaysPrintFieldsWithNoPresence = true
        try say(response.jsonString(options: options))
    }
}
