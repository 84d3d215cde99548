internal import COpenSSL

/// Who a verified certificate says its owner is.
public struct PeerCertificate: Sendable, Hashable {
    /// The subject as RFC 2253 writes it, `CN=checkout,O=Shop`: the most particular part first, not ASCII escaped.
    public let subject: String
    /// The DNS names and URIs of the subject alternative name, in the certificate's order.
    public let dnsNames: [String]
    public let uris: [String]

    init(_ certificate: Certificate) {
        subject = textOfMemory {
            X509_NAME_print_ex($0, X509_get_subject_name(certificate.x509), 0, COPENSSL_NAME_RFC2253)
        }
        let names = X509_get_ext_d2i(certificate.x509, NID_subject_alt_name, nil, nil).map(OpaquePointer.init)
        defer { GENERAL_NAMES_free(names) }
        dnsNames = Self.names(names, type: GEN_DNS)
        uris = Self.names(names, type: GEN_URI)
    }

    private static func names(_ names: OpaquePointer?, type: Int32) -> [String] {
        guard let names else { return [] }
        return (0..<copenssl_general_name_count(names)).compactMap { index in
            guard let name = copenssl_general_name(names, index), name.pointee.type == type else { return nil }
            let string = copenssl_general_name_string(name)
            let bytes = UnsafeBufferPointer(
                start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
            // A name with a NUL or another character that no name has is a trick on those who compare it.
            guard bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
