internal import Glibc
internal import TestSupport

/// Certificates and keys that the `openssl` command makes for a test, as files.
public struct TestCertificates: Sendable {
    /// For all tests of a process: made once.
    public static let shared = TestCertificates(in: TemporaryDirectory.shared.path)

    private let directory: String

    /// Makes `ca`, and signed by it `server` (localhost), `client` and `expired`; `stranger` and `stranger-ca`, which
    /// nobody trusts; and `encrypted.key`, the key of `server` under a passphrase.
    public init(in directory: String) {
        self.directory = directory
        Self.authority("ca", in: directory)
        Self.authority("stranger-ca", in: directory)
        sign("server", subject: "/CN=localhost", names: "DNS:localhost,IP:127.0.0.1")
        sign(
            "client", subject: "/O=Shop, Inc./CN=checkout",
            names: "DNS:checkout.shop.example,URI:spiffe://shop.example/checkout,email:a@shop.example")
        sign("expired", subject: "/CN=localhost", names: "DNS:localhost", days: -1)
        sign("stranger", subject: "/CN=stranger", names: "DNS:stranger.example", by: "stranger-ca")
        Self.run("openssl pkey -in server.key -aes128 -passout pass:secret -out encrypted.key", in: directory)
    }

    /// The path of a certificate's file.
    public func certificate(_ name: String) -> String { "\(directory)/\(name).pem" }

    /// The path of a key's file.
    public func key(_ name: String) -> String { "\(directory)/\(name).key" }

    /// Makes a certificate and its key, signed by an authority that was made before.
    ///
    /// - Parameters:
    ///   - subject: As the command takes it, `/O=Shop/CN=checkout`.
    ///   - names: The subject alternative name, `DNS:localhost`.
    public func sign(_ name: String, subject: String, names: String, days: Int = 30, by authority: String = "ca") {
        Self.run(
            """
            openssl req \(Self.newKey) -keyout '\(name).key' -subj '\(subject)' -addext 'subjectAltName=\(names)' \
            | openssl x509 -req -CA '\(authority).pem' -CAkey '\(authority).key' -days \(days) \
            -copy_extensions copy -out '\(name).pem'
            """, in: directory)
    }

    private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

    private static func authority(_ name: String, in directory: String) {
        run(
            "openssl req -x509 \(newKey) -keyout \(name).key -out \(name).pem -days 30 -subj '/CN=\(name)'",
            in: directory)
    }

    private static func run(_ command: String, in directory: String) {
        let status = system("cd '\(directory)' && (\(command)) 2>>openssl.log")
        precondition(status == 0, "failed: \(command); see openssl.log")
    }
}
