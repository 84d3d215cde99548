internal import COpenSSL

/// A client's side of TLS over memory, which may do what no good client does.
public final class TLSClient {
    /// What the client brings and asks for.
    public struct Options: Sendable {
        /// The authority that must have signed the server's certificate.
        public var authority: String
        /// The client's own certificate and key.
        public var certificate: (chain: String, key: String)?
        /// For ALPN; none: the extension is left out.
        public var protocols = ["h2"]
        /// Only this version, 12 for TLS 1.2.
        public var version: Int?
        /// The only suites of TLS 1.2 and before, in OpenSSL's words.
        public var ciphers: String?

        public init(authority: String) { self.authority = authority }
    }

    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    /// What went wrong: OpenSSL's reason, which names the alert where the server sent one.
    public private(set) var error: String?
    /// Whether the server said close_notify.
    public private(set) var serverHasClosed = false

    public init(_ options: Options) {
        context = SSL_CTX_new(TLS_client_method())!
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        precondition(SSL_CTX_load_verify_locations(context, options.authority, nil) == 1)
        if let (chain, key) = options.certificate {
            precondition(SSL_CTX_use_certificate_chain_file(context, chain) == 1)
            precondition(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
        }
        if let version = options.version {
            let number = Int32(0x0301 + version - 10)
            copenssl_set_min_proto_version(context, number)
            SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(number), nil)
        }
        // Below the system's level too: what the server refuses must be offered first.
        if let ciphers = options.ciphers {
            precondition(SSL_CTX_set_cipher_list(context, ciphers + "@SECLEVEL=0") == 1)
        }
        ssl = SSL_new(context)!
        input = BIO_new(BIO_s_mem())!
        output = BIO_new(BIO_s_mem())!
        SSL_set_bio(ssl, input, output)
        SSL_set_connect_state(ssl)
        let protocols = options.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        if !protocols.isEmpty { SSL_set_alpn_protos(ssl, protocols, UInt32(protocols.count)) }
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    /// Asks to go on with the session of a connection before; its server must have sent a ticket that was read.
    public func resume(_ earlier: TLSClient) {
        let session = SSL_get1_session(earlier.ssl)
        SSL_set_session(ssl, session)
        SSL_SESSION_free(session)
    }

    /// Whether the server went on with that session.
    public var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// Brings the handshake forward; whether it is done.
    public func handshake() -> Bool {
        ERR_clear_error()
        return note(SSL_do_handshake(ssl)) == 1
    }

    /// Gives the client what the server sent.
    public func receive(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        if !bytes.isEmpty { BIO_write(input, bytes, Int32(bytes.count)) }
    }

    /// What is to be sent to the server.
    public func takeOutput() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(output))
        if !bytes.isEmpty { BIO_read(output, &bytes, Int32(bytes.count)) }
        return bytes
    }

    /// Encrypts data in one piece.
    public func write(_ bytes: [UInt8]) {
        ERR_clear_error()
        if !bytes.isEmpty { _ = note(SSL_write(ssl, bytes, Int32(bytes.count))) }
    }

    /// All the data that can be decrypted.
    public func read() -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            ERR_clear_error()
            let count = note(SSL_read(ssl, &piece, Int32(piece.count)))
            guard count > 0 else { return bytes }
            bytes += piece[..<Int(count)]
        }
    }

    /// The protocol that ALPN agreed on.
    public var protocolName: String {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// `TLSv1.3` and the suite's name.
    public var version: String { String(cString: SSL_get_version(ssl)) }
    public var cipher: String { String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))) }

    /// The serial number of the server's certificate.
    public var serverSerial: [UInt8] {
        guard let certificate = SSL_get0_peer_certificate(ssl) else { return [] }
        let serial = X509_get_serialNumber(certificate)
        return Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(serial), count: Int(ASN1_STRING_length(serial))))
    }

    /// Says close_notify.
    public func close() { SSL_shutdown(ssl) }

    /// Asks the server for new keys (TLS 1.3).
    public func updateKeys() {
        SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED)
        _ = note(SSL_do_handshake(ssl))
    }

    /// Begins a second handshake (TLS 1.2).
    public func renegotiate() {
        SSL_renegotiate(ssl)
        _ = note(SSL_do_handshake(ssl))
    }

    private func note(_ result: Int32) -> Int32 {
        guard result <= 0 else { return result }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: break
        case SSL_ERROR_ZERO_RETURN: serverHasClosed = true
        default: error = copenssl_reason(ERR_peek_last_error()).map { String(cString: $0) } ?? "no reason"
        }
        return result
    }
}
