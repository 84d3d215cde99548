internal import COpenSSL
internal import Glibc

/// How a client's connections are encrypted, and whom it trusts. All files are PEM.
public struct TLSClientSettings: Sendable, Hashable {
    /// The authorities that may vouch for the server; nil: those that the system trusts.
    public var authorities: String?
    /// The client's own certificate, followed by the intermediate ones, and its key, not encrypted; nil: none is shown.
    public var certificateChain: String?
    public var privateKey: String?
    /// The DNS name or address that the server's certificate must be for; nil: the host that the channel connects to.
    public var serverName: String?

    public init(
        authorities: String? = nil, certificateChain: String? = nil, privateKey: String? = nil,
        serverName: String? = nil
    ) {
        self.authorities = authorities
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.serverName = serverName
    }
}

/// What a channel's TLS sessions share: made once from files.
///
/// TLS 1.2 and 1.3 as HTTP/2 allows them, ALPN `h2`; the server's certificate must be vouched for and be for the name
/// that is connected to.
public final class TLSClientContext: @unchecked Sendable {
    // SSL_CTX is counted and locked by OpenSSL, and changed by nobody after init.
    let context: OpaquePointer

    /// Reads and checks the files.
    ///
    /// - Throws: Where a file is missing, damaged or does not fit the others, in words that name file and remedy.
    public init(_ settings: TLSClientSettings) throws(TLSError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw TLSError("no TLS context can be made: \(takeReason())")
        }
        self.context = context
        try Self.configure(context, settings)
    }

    deinit { SSL_CTX_free(context) }

    private static func configure(_ context: OpaquePointer, _ settings: TLSClientSettings) throws(TLSError) {
        TLSContext.restrictProtocol(of: context)
        SSL_CTX_set_alpn_protos(context, [UInt8(http2.count)] + http2, UInt32(http2.count + 1))
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let path = settings.authorities {
            let file = try PEMFile(path, name: "server CA file")
            for authority in try file.certificates() {
                guard X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.x509) == 1 else {
                    throw file.error("cannot be used: \(takeReason())")
                }
            }
        } else {
            guard SSL_CTX_set_default_verify_paths(context) == 1 else {
                throw TLSError("the system's authorities cannot be read: \(takeReason())")
            }
        }
        switch (settings.certificateChain, settings.privateKey) {
        case (nil, nil): break
        case (let chain?, let key?): _ = try TLSContext.useCertificate(chain, key: key, in: context)
        default: throw TLSError("a client's certificate and its key go together: name the files of both, or none")
        }
    }

    /// Says whom the server's certificate must be for; false where `name` cannot be a server's.
    func expect(_ name: String, from ssl: OpaquePointer) -> Bool {
        let parameters = SSL_get0_param(ssl)
        var address = in6_addr()
        let isAddress = inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1
        // Addresses are not said to the server (RFC 6066, 3).
        if isAddress { return X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 }
        // What a certificate calls its subject is no name of a server (RFC 9110, 4.3.4).
        X509_VERIFY_PARAM_set_hostflags(
            parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
        return X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1 && copenssl_set_server_name(ssl, name) == 1
    }
}
