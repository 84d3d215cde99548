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

    /// `host:port`, `[ipv6]:port` or `unix:/path`; `dns:///` before the first two changes nothing (gRPC: doc/naming.md).
    init(_ text: String) throws(RPCError) {
        self.text = text
        do throws(Problem) {
            if text.hasPrefix("unix:") {
                place = .unix(path: try Self.path(String(text.dropFirst(5))))
                // What a path says is no authority (gRPC: doc/naming.md).
                authority = "localhost"
                serverName = "localhost"
            } else {
                authority = text.hasPrefix("dns:///") ? String(text.dropFirst("dns:///".count)) : text
                let (host, port) = try Self.hostAndPort(authority)
                place = .host(host, port: port)
                serverName = host
            }
        } catch {
            throw RPCError(
                .invalidArgument,
                "server '\(text)' \(error.reason); write for example shop.example:443, 127.0.0.1:50051, [::1]:50051 "
                    + "or unix:/run/fletch.sock")
        }
    }

    /// What a text has or is that no target may.
    private struct Problem: Error {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }

    private static func path(_ text: String) throws(Problem) -> String {
        guard !text.isEmpty else { throw Problem("has no path") }
        guard !text.utf8.contains(0) else { throw Problem("has a zero byte in its path") }
        guard text.utf8.count <= ListenAddress.maxPathBytes else {
            throw Problem("has a path of more than \(ListenAddress.maxPathBytes) bytes")
        }
        return text
    }

    private static func hostAndPort(_ text: String) throws(Problem) -> (host: String, port: UInt16) {
        guard !text.contains("://") else { throw Problem("is a URL") }
        guard !text.contains("/") else { throw Problem("is a path") }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem("has characters that no address has")
        }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { throw Problem("has no port") }
        guard let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw Problem("has no port from 1 to 65535 behind its last colon")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Problem("is an IPv6 address without brackets")
        }
        guard !host.isEmpty else { throw Problem("has no host") }
        return (String(host), port)
    }
}
