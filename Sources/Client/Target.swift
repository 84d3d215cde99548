internal import FletchRPC
internal import FletchEventLoop

/// Where a channel connects to.
struct Target {
    enum Place: Equatable {
        case host(String, port: UInt16)
        case unix(path: String)
    }

    let place: Place
    /// As it was written, for errors.
    let text: String
    /// What a request's `:authority` says where the configuration does not.
    let authority: String
    /// Whom a certificate must be for where the configuration does not say.
    let serverName: String

    /// `host:port`, `[ipv6]:port` or `unix:/path`.
    init(_ text: String) throws(RPCError) {
        self.text = text
        let scheme = "unix:"
        if text.hasPrefix(scheme) {
            let path = String(text.dropFirst(scheme.count))
            guard !path.isEmpty, !path.utf8.contains(0), path.utf8.count <= ListenAddress.maxPathBytes else {
                throw Self.malformed(text)
            }
            place = .unix(path: path)
            // What a path says is no authority (gRPC: doc/naming.md).
            authority = "localhost"
            serverName = "localhost"
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw Self.malformed(text)
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Self.malformed(text)
        }
        guard !host.isEmpty, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw Self.malformed(text) }
        place = .host(String(host), port: port)
        authority = text
        serverName = String(host)
    }

    private static func malformed(_ text: String) -> RPCError {
        RPCError(
            .invalidArgument,
            "server '\(text)' is none; write for example 127.0.0.1:50051, [::1]:50051 or unix:/run/fletch.sock")
    }
}
