internal import COpenSSL

/// A PEM file of certificates or a key, read as a whole.
struct PEMFile {
    /// Far more than any chain, key or list of authorities needs; keeps a mistaken path (an image, a device) out of memory.
    private static let maxBytes = 4 << 20

    private let name: String
    private let path: String
    private let bytes: [UInt8]

    /// - Parameter name: What the file is ("certificate file"), for errors.
    init(_ path: String, name: String) throws(TLSError) {
        self.name = name
        self.path = path
        ERR_clear_error()
        guard let file = BIO_new_file(path, "r") else {
            throw TLSError("\(name) '\(path)' cannot be read: \(takeReason(cause: true))")
        }
        defer { BIO_free(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while case let count = BIO_read(file, &chunk, Int32(chunk.count)), count > 0 {
            bytes += chunk[..<Int(count)]
            guard bytes.count <= Self.maxBytes else {
                throw TLSError("\(name) '\(path)' is larger than \(Self.maxBytes >> 20) MiB: name a PEM file")
            }
        }
        guard ERR_peek_error() == 0 else {
            throw TLSError("\(name) '\(path)' cannot be read: \(takeReason(cause: true))")
        }
        guard !bytes.isEmpty else { throw TLSError("\(name) '\(path)' is empty") }
        self.bytes = bytes
    }

    /// An error about the file: `'server.pem' <problem>`.
    func error(_ problem: String) -> TLSError { TLSError("\(name) '\(path)' \(problem)") }

    /// All certificates of the file, in its order; at least one.
    func certificates() throws(TLSError) -> [Certificate] {
        try withReader { (reader) throws(TLSError) in
            var certificates: [Certificate] = []
            while let certificate = PEM_read_bio_X509(reader, nil, refusePassphrase, nil) {
                certificates.append(Certificate(owning: certificate))
            }
            // The end of the file is the error "no start line"; all others are damage.
            guard copenssl_reason_code(ERR_peek_last_error()) == PEM_R_NO_START_LINE else {
                throw error("holds a damaged certificate after \(certificates.count) good ones: \(takeReason())")
            }
            ERR_clear_error()
            guard !certificates.isEmpty else {
                throw error("holds no certificate: it must be PEM, '-----BEGIN CERTIFICATE-----'")
            }
            return certificates
        }
    }

    /// The private key of the file.
    func privateKey() throws(TLSError) -> PrivateKey {
        try withReader { (reader) throws(TLSError) in
            var isEncrypted = false
            let key = withUnsafeMutablePointer(to: &isEncrypted) {
                PEM_read_bio_PrivateKey(reader, nil, refusePassphrase, $0)
            }
            if let key { return PrivateKey(owning: key) }
            if isEncrypted {
                throw error(
                    "is encrypted, and a server cannot be asked for its passphrase: decrypt it with openssl pkey")
            }
            // OpenSSL has no error of its own for this.
            if !String(decoding: bytes, as: UTF8.self).contains("PRIVATE KEY-----") {
                throw error("holds no private key: it must be PEM, '-----BEGIN PRIVATE KEY-----'")
            }
            throw error("holds a damaged private key: \(takeReason())")
        }
    }

    private func withReader<Result>(_ body: (OpaquePointer) throws(TLSError) -> Result) throws(TLSError) -> Result {
        ERR_clear_error()
        guard let reader = BIO_new(BIO_s_mem()), BIO_write(reader, bytes, Int32(bytes.count)) == Int32(bytes.count)
        else { throw error("does not fit in memory") }
        defer { BIO_free(reader) }
        return try body(reader)
    }
}

/// Stands where OpenSSL would ask at the terminal; notes in `context`, a Bool, that it would have.
private func refusePassphrase(
    _: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    context?.storeBytes(of: true, as: Bool.self)
    return -1
}

/// An X.509 certificate.
final class Certificate {
    let x509: OpaquePointer

    init(owning x509: OpaquePointer) { self.x509 = x509 }

    deinit { X509_free(x509) }

    /// Bytes that it takes in a handshake.
    var encodedByteCount: Int { Int(i2d_X509(x509, nil)) }

    /// From when and until when it is valid, "Jan  1 00:00:00 2030 GMT".
    var notBefore: String { Self.text(X509_get0_notBefore(x509)) }
    var notAfter: String { Self.text(X509_get0_notAfter(x509)) }

    var isNotYetValid: Bool { X509_cmp_current_time(X509_get0_notBefore(x509)) > 0 }
    var hasExpired: Bool { X509_cmp_current_time(X509_get0_notAfter(x509)) < 0 }

    private static func text(_ time: UnsafePointer<ASN1_TIME>?) -> String {
        textOfMemory { ASN1_TIME_print($0, time) }
    }
}

/// A private key.
final class PrivateKey {
    let key: OpaquePointer

    init(owning key: OpaquePointer) { self.key = key }

    deinit { EVP_PKEY_free(key) }
}

/// What `print` writes into a memory BIO.
func textOfMemory(_ print: (OpaquePointer) -> Int32) -> String {
    guard let memory = BIO_new(BIO_s_mem()) else { return "" }
    defer { BIO_free(memory) }
    _ = print(memory)
    var start: UnsafeMutablePointer<CChar>?
    let count = copenssl_mem_data(memory, &start)
    return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
}
