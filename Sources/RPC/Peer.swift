internal import Glibc

/// Who is at the other end of a connection; one for each connection.
public final class Peer: Sendable {
    /// `127.0.0.1:5123`, `[::1]:5123`, or `unix:` for a Unix domain socket.
    public let address: String
    /// The address without its port: the same for all connections of a client's machine.
    public let host: String
    /// What limits for each client hold for: the host, and of IPv6 its first 64 bits, which commonly are one client's
    /// (RFC 6177).
    public let network: String
    /// Who the peer's client certificate says it is, once verified (mutual TLS); nil where it has shown none.
    public let identity: PeerIdentity?

    /// For calls that come over no connection.
    static let unknown = Peer(address: "")

    public init(address: String, identity: PeerIdentity? = nil) {
        self.address = address
        host = address.lastIndex(of: ":").map { String(address[..<$0]) } ?? address
        network = Self.network(of: host)
        self.identity = identity
    }

    private static func network(of host: String) -> String {
        var bytes = in6_addr()
        guard host.hasPrefix("["), inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &bytes) == 1 else {
            return host
        }
        let prefix = withUnsafeBytes(of: bytes) { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) }
        return String(prefix, radix: 16) + "::/64"
    }
}

/// The names in a verified client certificate.
public struct PeerIdentity: Sendable, Hashable {
    /// The subject as RFC 2253 writes it, `CN=checkout,O=Shop`.
    public let subject: String
    /// The DNS names of the subject alternative name.
    public let dnsNames: [String]
    /// The URIs of the subject alternative name, for example a SPIFFE ID.
    public let uris: [String]

    public init(subject: String, dnsNames: [String], uris: [String]) {
        self.subject = subject
        self.dnsNames = dnsNames
        self.uris = uris
    }
}
