public import ArgumentParser
public import FletchTLS

extension TLSFiles.ClientAuthentication: ExpressibleByArgument {}

/// What a server's TLS listeners need.
struct TLSArguments: ParsableArguments {
    @Option(
        name: .customLong("tls-cert"), help: ArgumentHelp("Server certificate and its chain, PEM.", valueName: "file"))
    var certificate: String?

    @Option(name: .customLong("tls-key"), help: ArgumentHelp("Private key of the certificate, PEM.", valueName: "file"))
    var key: String?

    @Option(
        name: .customLong("tls-client-ca"),
        help: ArgumentHelp("Authorities that vouch for clients, PEM: asks clients for certificates.", valueName: "file")
    )
    var clientAuthorities: String?

    @Option(
        name: .customLong("tls-client-auth"),
        help: "Whether clients must have a certificate, or may come without one; require where not given.")
    var clientAuthentication: TLSFiles.ClientAuthentication?

    func validate(isUsed: Bool) throws {
        guard isUsed else {
            guard certificate == nil, key == nil, clientAuthorities == nil, clientAuthentication == nil else {
                throw ValidationError("--tls-... is given but no address to use it on: add --listen-tls")
            }
            return
        }
        guard certificate != nil, key != nil else {
            throw ValidationError("--listen-tls needs a certificate and its key: add --tls-cert and --tls-key")
        }
        guard clientAuthentication == nil || clientAuthorities != nil else {
            throw ValidationError("--tls-client-auth needs to know whom to trust: add --tls-client-ca")
        }
    }

    /// The files; nil where there are none.
    var files: TLSFiles? {
        guard let certificate, let key else { return nil }
        var files = TLSFiles(certificateChain: certificate, privateKey: key)
        files.clientAuthorities = clientAuthorities
        if let clientAuthentication { files.clientAuthentication = clientAuthentication }
        return files
    }
}
