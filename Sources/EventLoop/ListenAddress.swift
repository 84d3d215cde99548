internal import CUV
internal import Glibc

/// A numeric address and port to listen on, for example `127.0.0.1:50051`, `0.0.0.0:0` or `[::1]:50051`.
public struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// An IPv4 or IPv6 address, without brackets.
    public let host: String
    /// 0: any free port.
    public internal(set) var port: UInt16

    /// Why a text is no listen address.
    public struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// The address that `text` says; `flag` names it in the error.
    public init(_ text: String, flag: String = "--listen") throws(Invalid) {
        func invalid(_ reason: String) -> Invalid {
            Invalid(description: "\(flag) '\(text)': \(reason); write for example 127.0.0.1:50051 or [::1]:50051")
        }
        guard let colon = text.lastIndex(of: ":") else { throw invalid("the port is missing") }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let port = UInt16(digits)
        else { throw invalid("the port must be a number from 0 to 65535") }
        var host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        guard !host.contains(":") || isBracketed else { throw invalid("an IPv6 address needs brackets") }
        self.host = String(host)
        self.port = port
        guard withSocketAddress({ _, _ in }) != nil, isBracketed == host.contains(":") else {
            throw invalid("the host must be a numeric IPv4 or IPv6 address")
        }
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Calls `body` with the address as the system wants it; nil where the host is not numeric.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result? {
        if host.contains(":") {
            var address = sockaddr_in6()
            guard uv_ip6_addr(host, Int32(port), &address) == 0 else { return nil }
            return withUnsafeBytes(of: &address) {
                body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
        }
        var address = sockaddr_in()
        guard uv_ip4_addr(host, Int32(port), &address) == 0 else { return nil }
        return withUnsafeBytes(of: &address) {
            body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
    }
}
