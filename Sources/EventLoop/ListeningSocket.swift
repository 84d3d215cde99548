internal import Glibc

/// A bound socket that a loop can listen on.
public struct ListeningSocket: Sendable {
    let descriptor: Int32
    /// Where it is bound; the port is the real one where 0 was asked for.
    public let address: ListenAddress

    /// Binds a socket to `address`.
    ///
    /// - Parameter isShared: Whether further sockets may have the address (SO_REUSEPORT): the kernel then spreads
    ///   connections over them, so that loops share nothing.
    public init(_ address: ListenAddress, isShared: Bool) throws(EventLoopError) {
        let action = "listen on \(address)"
        let family = address.host.contains(":") ? AF_INET6 : AF_INET
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw EventLoopError(code: -errno, doing: action) }
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size)
        if isShared { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, size) }
        // [::] is for IPv6 alone, whatever the system's default: what is listened on is what was written.
        if family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, size) }
        let descriptor = descriptor
        let code = address.withSocketAddress { bind(descriptor, $0, $1) } ?? -1
        guard code == 0 else {
            let error = EventLoopError(code: -errno, doing: action)
            Glibc.close(descriptor)
            throw error
        }
        var bound = address
        bound.port = Self.port(of: descriptor)
        self.address = bound
    }

    /// Gives the socket up without listening on it.
    public func close() { Glibc.close(descriptor) }

    private static func port(of descriptor: Int32) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            let address = bytes.baseAddress!
            getsockname(descriptor, address.assumingMemoryBound(to: sockaddr.self), &length)
            // The port has the same place in IPv4 and IPv6 addresses.
            return UInt16(bigEndian: address.load(fromByteOffset: 2, as: UInt16.self))
        }
    }
}
