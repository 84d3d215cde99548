internal import COpenSSL

/// The files that a TLS listener stands on, all PEM.
public struct TLSFiles: Sendable, Hashable {
    /// Whether a client must come with a certificate.
    public enum ClientAuthentication: String, Sendable, Hashable, CaseIterable {
        /// Without a certificate that the authorities vouch for, no connection.
        case require
        /// A client may come without a certificate, but not with a wrong one.
        case request
    }

    /// The server's certificate, followed by the intermediate ones up to the root.
    public var certificateChain: String
    /// The certificate's private key, not encrypted.
    public var privateKey: String
    /// The authorities that vouch for clients; nil: clients are not asked for certificates.
    public var clientAuthorities: String?
    public var clientAuthentication = ClientAuthentication.require

    public init(certificateChain: String, privateKey: String) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }
}

/// How connections of a listener are encrypted: made once from files, then shared by all loops.
///
/// TLS 1.2 and 1.3 as HTTP/2 allows them (RFC 9113 section 9.2): ephemeral keys and authenticated encryption only, no
/// compression, no renegotiation, and `h2` must be agreed on by ALPN. Sessions are resumed by tickets, whose keys go
/// with the context; early data is not taken.
public final class TLSContext: @unchecked Sendable {
    // SSL_CTX is counted and locked by OpenSSL, and changed by nobody after init.
    let context: OpaquePointer
    /// When the certificate ends, for the log: "Jan  1 00:00:00 2030 GMT".
    public let validUntil: String

    /// The suites of TLS 1.2 that RFC 9113 does not prohibit (section 9.2.2 and appendix A). All suites of 1.3 are good.
    private static let cipherList = "ECDHE+AESGCM:ECDHE+CHACHA20"
    /// Certificates that go out in a handshake: OpenSSL's and so many clients' limit of what they take.
    private static let maxChainBytes = 100 << 10
    /// Names of authorities that go out in a handshake; the extension cannot hold more than 64 KiB.
    private static let maxAuthorityBytes = 60 << 10

    /// Reads and checks the files.
    ///
    /// - Throws: Where a file is missing, damaged or does not fit the others, or the certificate is not valid now, in
    ///   words that name the file and the remedy.
    public init(_ files: TLSFiles) throws(TLSError) {
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSError("no TLS context can be made: \(takeReason())")
        }
        self.context = context
        do throws(TLSError) {
            validUntil = try Self.configure(context, files)
        } catch {
            // There is no deinit before everything is initialised.
            SSL_CTX_free(context)
            throw error
        }
    }

    deinit { SSL_CTX_free(context) }

    private static func configure(_ context: OpaquePointer, _ files: TLSFiles) throws(TLSError) -> String {
        restrictProtocol(of: context)
        SSL_CTX_set_options(context, COPENSSL_OP_CIPHER_SERVER_PREFERENCE | COPENSSL_OP_PRIORITIZE_CHACHA)
        // Tickets keep a session at the client; a cache here would be memory that clients fill.
        copenssl_disable_session_cache(context)
        SSL_CTX_set_client_hello_cb(context, requireProtocolNegotiation, nil)
        SSL_CTX_set_alpn_select_cb(context, selectHTTP2, nil)
        let leaf = try useCertificate(files.certificateChain, key: files.privateKey, in: context)
        if let path = files.clientAuthorities {
            try askClients(files.clientAuthentication, vouchedForBy: path, in: context)
        }
        return leaf.notAfter
    }

    /// What HTTP/2 allows of TLS, for either side.
    static func restrictProtocol(of context: OpaquePointer) {
        copenssl_set_min_proto_version(context, TLS1_2_VERSION)
        SSL_CTX_set_cipher_list(context, cipherList)
        SSL_CTX_set_options(context, COPENSSL_OP_NO_COMPRESSION | COPENSSL_OP_NO_RENEGOTIATION)
        // Idle connections, most of them, then keep no record buffers: 34 kB each.
        copenssl_release_idle_buffers(context)
    }

    /// Shows the peer the certificate in a chain's file, with its key in another.
    ///
    /// - Returns: The certificate.
    static func useCertificate(
        _ certificateChain: String, key privateKey: String, in context: OpaquePointer
    ) throws(TLSError) -> Certificate {
        let file = try PEMFile(certificateChain, name: "certificate file")
        let chain = try file.certificates()
        let leaf = chain[0]
        guard chain.reduce(0, { $0 + $1.encodedByteCount }) <= maxChainBytes else {
            throw file.error(
                "holds more than the \(maxChainBytes >> 10) KiB of certificates that clients take: leave only the chain"
            )
        }
        if leaf.hasExpired { throw file.error("has expired on \(leaf.notAfter): renew it") }
        if leaf.isNotYetValid {
            throw file.error("is valid only from \(leaf.notBefore) on: check this machine's clock")
        }
        let keyFile = try PEMFile(privateKey, name: "key file")
        let key = try keyFile.privateKey()
        guard X509_check_private_key(leaf.x509, key.key) == 1 else {
            throw keyFile.error(
                "does not belong to the first certificate of '\(certificateChain)': give the two made together")
        }
        guard SSL_CTX_use_certificate(context, leaf.x509) == 1, SSL_CTX_use_PrivateKey(context, key.key) == 1 else {
            throw file.error("cannot be used: \(takeReason())")
        }
        for certificate in chain.dropFirst() {
            guard copenssl_add1_chain_cert(context, certificate.x509) == 1 else {
                throw file.error("cannot be used: \(takeReason())")
            }
        }
        return leaf
    }

    private static func askClients(
        _ authentication: TLSFiles.ClientAuthentication, vouchedForBy path: String, in context: OpaquePointer
    ) throws(TLSError) {
        let file = try PEMFile(path, name: "client CA file")
        let authorities = try file.certificates()
        var bytes = 0
        for authority in authorities {
            bytes += Int(i2d_X509_NAME(X509_get_subject_name(authority.x509), nil))
            guard X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.x509) == 1,
                SSL_CTX_add_client_CA(context, authority.x509) == 1
            else { throw file.error("cannot be used: \(takeReason())") }
        }
        guard bytes <= maxAuthorityBytes else {
            throw file.error("names more authorities than a handshake can: leave only those that vouch for clients")
        }
        let isRequired = authentication == .require
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
        // Without a name OpenSSL resumes no session of a client that it has authenticated, and fails instead.
        SSL_CTX_set_session_id_context(context, sessionContext, UInt32(sessionContext.count))
    }

    private static let sessionContext = Array("fletch".utf8)
}

/// The protocol that ALPN must agree on (RFC 9113, 3.3).
let http2 = Array("h2".utf8)

/// Refuses a client that does not negotiate a protocol: `selectHTTP2` is not asked for such a one.
private func requireProtocolNegotiation(
    _ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?, _: UnsafeMutableRawPointer?
) -> Int32 {
    var extensionBytes: UnsafePointer<UInt8>?
    var count = 0
    let type = UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation)
    guard SSL_client_hello_get0_ext(ssl, type, &extensionBytes, &count) == 1 else {
        alert?.pointee = SSL_AD_NO_APPLICATION_PROTOCOL
        return SSL_CLIENT_HELLO_ERROR
    }
    return SSL_CLIENT_HELLO_SUCCESS
}

/// Selects `h2` from the client's list (RFC 7301 section 3.2); anything else ends the handshake.
private func selectHTTP2(
    _: OpaquePointer?, _ selected: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ selectedCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32,
    _: UnsafeMutableRawPointer?
) -> Int32 {
    var rest = UnsafeBufferPointer(start: offered, count: Int(offeredCount))[...]
    while let length = rest.popFirst(), Int(length) <= rest.count {
        let name = rest.prefix(Int(length))
        if name.elementsEqual(http2) {
            selected?.pointee = offered! + name.startIndex
            selectedCount?.pointee = length
            return SSL_TLSEXT_ERR_OK
        }
        rest = rest.dropFirst(Int(length))
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}
