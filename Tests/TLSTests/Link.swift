import FletchTLS
import TLSPeer

/// What sessions and clients of these tests stand on.
enum Files {
    static let certificates = TestCertificates.shared

    /// The files of a server with the certificate `name`, and the CA file for clients if there is any.
    static func of(
        _ name: String = "server", clientAuthorities: String? = nil,
        _ authentication: TLSFiles.ClientAuthentication = .require
    ) -> TLSFiles {
        var files = TLSFiles(certificateChain: certificates.certificate(name), privateKey: certificates.key(name))
        files.clientAuthorities = clientAuthorities.map(certificates.certificate)
        files.clientAuthentication = authentication
        return files
    }

    static func client(
        _ name: String? = nil, _ change: (inout TLSClient.Options) -> Void = { _ in }
    ) -> TLSClient {
        var options = TLSClient.Options(authority: certificates.certificate("ca"))
        options.certificate = name.map { (certificates.certificate($0), certificates.key($0)) }
        change(&options)
        return TLSClient(options)
    }
}

/// A session and a client, and what travels between them.
final class Link {
    static let maxWriteBytes = 256 << 10

    let client: TLSClient
    let session: TLSSession
    let buffers = TLSBuffers(maxWriteBytes: maxWriteBytes)
    /// What the session decrypted, and why it ended.
    private(set) var received: [UInt8] = []
    private(set) var error: TLSError?
    private(set) var clientIsDone = false

    init(_ context: TLSContext, _ client: TLSClient) throws {
        self.client = client
        session = try TLSSession(context, buffers: buffers)
    }

    convenience init(_ files: TLSFiles = Files.of(), _ client: TLSClient = Files.client()) throws {
        try self.init(TLSContext(files), client)
    }

    /// Gives the session ciphertext in pieces of so many bytes.
    func feed(_ bytes: [UInt8], piece: Int = 64 << 10) {
        var rest = bytes[...]
        while !rest.isEmpty, error == nil {
            Array(rest.prefix(piece)).withUnsafeBytes(take)
            rest = rest.dropFirst(piece)
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        session.receive(bytes)
        do throws(TLSError) {
            if try session.handshake() {
                while case let plaintext = try session.read(), !plaintext.isEmpty { received += plaintext }
            }
        } catch {
            self.error = error
        }
        deliver()
    }

    /// Hands the client what the session has to say.
    func deliver() {
        client.receive(buffers.ciphertext)
        buffers.clear()
    }

    func send(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try session.encrypt($0) }
        deliver()
    }

    /// Goes back and forth until both sides are done, or have failed.
    @discardableResult
    func connect(piece: Int = 64 << 10) -> Bool {
        for _ in 0..<10 where !(clientIsDone && session.isEstablished) {
            if !clientIsDone { clientIsDone = client.handshake() }
            feed(client.takeOutput(), piece: piece)
        }
        _ = client.read()  // tickets, or the alert
        return clientIsDone && session.isEstablished
    }
}
