internal import COpenSSL

/// One side of a connection's TLS, without any I/O: ciphertext comes in by ``receive(_:)``, plaintext is
/// taken by ``read()``, and what is to be sent is appended to the loop's ``TLSBuffers``.
///
/// A session holds at most one incomplete record of its peer and nothing that waits to be sent.
public final class TLSSession {
    /// Records without data that a peer may send for free once the connection stands: key updates, alerts, attempts to
    /// renegotiate. Each costs us more than the peer; OpenSSL limits empty and warning records, not these.
    private static let freeControlRecords = 32
    /// One more for so many bytes of data: peers renew their keys every few gigabytes.
    private static let bytesPerControlRecord: UInt64 = 1 << 20

    private let ssl: OpaquePointer
    /// Whom the server's certificate must be for; nil: this is the server's side.
    private let serverName: String?
    private var isClient: Bool { serverName != nil }
    private let transport: UnsafeMutablePointer<Transport>
    private let buffers: TLSBuffers
    private var receivedBytes: UInt64 = 0
    private var hasFailed = false

    /// Whether the handshake is done: data can be read and written.
    public private(set) var isEstablished = false
    /// Whether the peer has said by close_notify that it sends nothing more. A connection that ends without was cut off.
    public private(set) var peerHasClosed = false

    /// A session for a new connection of a listener.
    ///
    /// - Parameter buffers: The buffers of the loop that the connection lives on.
    /// - Throws: Where memory has run out.
    public convenience init(_ context: TLSContext, buffers: TLSBuffers) throws(TLSError) {
        try self.init(context.context, serverName: nil, buffers: buffers)
    }

    /// A session for a new connection to a server; ``handshake()`` begins it.
    ///
    /// - Parameters:
    ///   - serverName: The DNS name or address that the server's certificate must be for.
    ///   - buffers: The buffers of the loop that the connection lives on.
    /// - Throws: Where memory has run out, or the name cannot be a server's.
    public convenience init(
        _ context: TLSClientContext, serverName: String, buffers: TLSBuffers
    ) throws(TLSError) {
        try self.init(context.context, serverName: serverName, buffers: buffers)
        guard context.expect(serverName, from: ssl) else {
            throw TLSError("'\(serverName)' is no name that a server's certificate can be for")
        }
    }

    private init(_ context: OpaquePointer, serverName: String?, buffers: TLSBuffers) throws(TLSError) {
        self.buffers = buffers
        self.serverName = serverName
        transport = .allocate(capacity: 1)
        transport.initialize(to: Transport(output: .passUnretained(buffers)))
        let ssl = SSL_new(context)
        guard let ssl, let bio = Transport.makeBIO(transport) else {
            SSL_free(ssl)
            transport.deallocate()
            throw TLSError("no memory for a TLS session")
        }
        self.ssl = ssl
        SSL_set_bio(ssl, bio, bio)
        if serverName != nil { SSL_set_connect_state(ssl) } else { SSL_set_accept_state(ssl) }
        SSL_set_msg_callback(ssl, countControlRecords)
        copenssl_set_msg_callback_arg(ssl, transport)
    }

    deinit {
        SSL_free(ssl)
        transport.deallocate()
    }

    // MARK: Bytes

    /// Gives the session what arrived: it is read, not copied, until ``handshake()`` or ``read()`` have taken all of it.
    public func receive(_ ciphertext: UnsafeRawBufferPointer) { transport.pointee.input = ciphertext }

    /// Brings the handshake forward as far as what was received allows, and answers.
    ///
    /// - Returns: Whether the connection is established.
    /// - Throws: Where the handshake has failed; the alert that says so to the peer is in the buffers.
    public func handshake() throws(TLSError) -> Bool {
        guard !isEstablished else { return true }
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        guard result != 1 else {
            // Servers of ours have refused whoever does not agree.
            guard !isClient || agreedProtocol.elementsEqual(http2) else {
                throw fail("the server does not agree on HTTP/2 (ALPN h2)")
            }
            isEstablished = true
            transport.pointee.controlRecords = 0
            return true
        }
        try judge(result)
        return false
    }

    /// Decrypts what was received: the next piece of data, empty where all is taken. Valid until the next call.
    ///
    /// - Throws: Where the connection cannot go on; an alert that says so to the peer is in the buffers.
    public func read() throws(TLSError) -> UnsafeRawBufferPointer {
        let room = buffers.plaintext
        var count = 0
        while count < room.count, !peerHasClosed, transport.pointee.input.count > 0 || SSL_pending(ssl) > 0 {
            ERR_clear_error()
            let result = SSL_read(ssl, room.baseAddress! + count, Int32(room.count - count))
            guard result > 0 else {
                try judge(result)
                break
            }
            count += Int(result)
        }
        receivedBytes &+= UInt64(count)
        try judgeControlRecords()
        return UnsafeRawBufferPointer(rebasing: room[..<count])
    }

    /// Appends `plaintext`, encrypted, to the buffers; at most as much as they were made for.
    public func encrypt(_ plaintext: UnsafeRawBufferPointer) throws(TLSError) {
        guard !plaintext.isEmpty else { return }
        ERR_clear_error()
        let result = SSL_write(ssl, plaintext.baseAddress, Int32(plaintext.count))
        if result != plaintext.count { throw fail("cannot encrypt: \(takeReason())") }
    }

    /// Appends close_notify to the buffers: nothing more will be sent. Does nothing where the session has failed.
    public func close() {
        guard isEstablished, !hasFailed else { return }
        ERR_clear_error()
        SSL_shutdown(ssl)
    }

    // MARK: The peer

    /// What ALPN agreed on; empty where it did not.
    private var agreedProtocol: UnsafeBufferPointer<UInt8> {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        return UnsafeBufferPointer(start: name, count: Int(count))
    }

    /// The cipher suite by the IANA's name, for example `TLS_AES_128_GCM_SHA256`; nil before the handshake is done.
    public var cipherSuite: String? {
        SSL_get_current_cipher(ssl).flatMap { SSL_CIPHER_standard_name($0) }.map { String(cString: $0) }
    }

    /// The peer's certificate, verified against the authorities; nil where it came without.
    public var peerCertificate: PeerCertificate? {
        guard SSL_get_verify_result(ssl) == Int(X509_V_OK), let x509 = SSL_get1_peer_certificate(ssl) else {
            return nil
        }
        return PeerCertificate(Certificate(owning: x509))
    }

    // MARK: Errors

    /// What OpenSSL means by a `result` that is no success; returns where it only wants more input.
    private func judge(_ result: Int32) throws(TLSError) {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return
        case SSL_ERROR_ZERO_RETURN:
            peerHasClosed = true
            forgetInput()
        case SSL_ERROR_WANT_WRITE: throw fail("the peer asks for more than is answered at once")
        default:
            let code = copenssl_reason_code(ERR_peek_last_error())
            let reason = takeReason()
            let verification = SSL_get_verify_result(ssl)
            if verification != Int(X509_V_OK) { throw fail(refusal(of: verification)) }
            guard isClient, !isEstablished, code == SSL_R_WRONG_VERSION_NUMBER else { throw fail(reason) }
            throw fail("the server does not speak TLS (\(reason)); connect without 'tls', or to another port")
        }
    }

    /// Why the peer's certificate is refused, and, to a client, what to do about it.
    private func refusal(of verification: Int) -> String {
        let reason = String(cString: X509_verify_cert_error_string(verification))
        guard let serverName else { return "the client's certificate is refused: \(reason)" }
        let remedy =
            switch Int32(truncatingIfNeeded: verification) {
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
                ", it is not for '\(serverName)'; give a name that it is for as 'serverName'"
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
                X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
                "; give the file of the authority that vouches for it as 'authorities'"
            default: ""
            }
        return "the server's certificate is refused: \(reason)\(remedy)"
    }

    private func judgeControlRecords() throws(TLSError) {
        let allowed = Self.freeControlRecords + Int(clamping: receivedBytes / Self.bytesPerControlRecord)
        if transport.pointee.controlRecords > allowed { throw fail("the peer floods us with records without data") }
    }

    private func fail(_ description: String) -> TLSError {
        hasFailed = true
        forgetInput()
        return TLSError(description)
    }

    /// What was received is the caller's, and will soon be gone.
    private func forgetInput() { receive(UnsafeRawBufferPointer(start: nil, count: 0)) }
}
