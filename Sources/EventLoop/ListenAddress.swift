internal import CUV
internal import Glibc

/// Where a server listens: a numeric address and port, `127.0.0.1:50051`, `0.0.0.0:0` or `[::1]:50051`, or a Unix
/// domain socket, `unix:/run/fletch.sock`.
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// The two kinds of address.
    public enum Kind: Sendable, Hashable {
        /// An IPv4 or IPv6 address without brackets. Port 0 is any free one.
        case internet(host: String, port: UInt16)
        /// The path of a socket's file, at most ``ListenAddress/maxPathBytes`` long.
        case unix(path: String)
    }

    /// What the system's address structure holds, less the zero byte at its end.
    public static let maxPathBytes = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    public let kind: Kind

    /// Why a text is no listen address.
    public struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    init(_ kind: Kind) { self.kind = kind }

    /// The address that `text` says; `flag` names it in the error.
    public init(_ text: String, flag: String = "--listen") throws(Invalid) {
        func invalid(_ reason: String, remedy: String) -> Invalid {
            Invalid(description: "\(flag) '\(text)': \(reason); \(remedy)")
        }
        let scheme = "unix:"
        if text.hasPrefix(scheme) {
            let path = String(text.dropFirst(scheme.count))
            let remedy = "write for example unix:/run/fletch.sock"
            guard !path.isEmpty, !path.utf8.contains(0) else { throw invalid("the path is missing", remedy: remedy) }
            guard path.utf8.count <= Self.maxPathBytes else {
                throw invalid("the path is longer than \(Self.maxPathBytes) bytes", remedy: remedy)
            }
            kind = .unix(path: path)
            return
        }
        do throws(Problem) {
            kind = try Self.internet(text)
        } catch {
            throw invalid(
                error.reason, remedy: "write for example 127.0.0.1:50051, [::1]:50051 or unix:/run/fletch.sock")
        }
    }

    private struct Problem: Error {
        let reason: String
    }

    private static func internet(_ text: String) throws(Problem) -> Kind {
        guard let colon = text.lastIndex(of: ":") else { throw Problem(reason: "the port is missing") }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let port = UInt16(digits)
        else { throw Problem(reason: "the port must be a number from 0 to 65535") }
        var host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        guard !host.contains(":") || isBracketed else { throw Problem(reason: "an IPv6 address needs brackets") }
        let kind = Kind.internet(host: String(host), port: port)
        guard ListenAddress(kind).withSocketAddress({ _, _ in }) != nil, isBracketed == host.contains(":") else {
            throw Problem(reason: "the host must be a numeric IPv4 or IPv6 address")
        }
        return kind
    }

    public var description: String {
        switch kind {
        case .internet(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The same address with the port that the system chose.
    func withPort(_ port: UInt16) -> ListenAddress {
        guard case .internet(let host, _) = kind else { return self }
        return ListenAddress(.internet(host: host, port: port))
    }

    /// AF_INET, AF_INET6 or AF_UNIX.
    var family: Int32 {
        switch kind {
        case .internet(let host, _): host.contains(":") ? AF_INET6 : AF_INET
        case .unix: AF_UNIX
        }
    }

    /// Calls `body` with the address as the system wants it; nil where the host is not numeric.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result? {
        switch kind {
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(Self.maxPathBytes)) }
            return withGenericAddress(&address, body)
        case .internet(let host, let port) where host.contains(":"):
            var address = sockaddr_in6()
            guard uv_ip6_addr(host, Int32(port), &address) == 0 else { return nil }
            return withGenericAddress(&address, body)
        case .internet(let host, let port):
            var address = sockaddr_in()
            guard uv_ip4_addr(host, Int32(port), &address) == 0 else { return nil }
            return withGenericAddress(&address, body)
        }
    }
}

private func withGenericAddress<Address, Result>(
    _ address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    withUnsafeBytes(of: &address) {
        body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
}
