internal import CUV
internal import Glibc

/// An address as the system has it: what it tells of a socket, or what a name stands for.
public struct SocketAddress: @unchecked Sendable {
    // Plain bytes.
    private var storage = sockaddr_storage()

    /// A copy of an address of at most `length` bytes.
    init(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
        let bytes = UnsafeRawBufferPointer(start: address, count: Int(length))
        withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes.prefix($0.count)) }
    }

    /// The address as functions of the system take it.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self)) }
    }

    /// What `getsockname` or `getpeername` says of `descriptor`; nil where the socket has no such address any more.
    init?(
        of descriptor: Int32, _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) {
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = withUnsafeMutableBytes(of: &storage) {
            ask(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
        }
        if code != 0 { return nil }
    }

    /// The port of an internet address.
    var port: UInt16 {
        // It has the same place in IPv4 and IPv6 addresses.
        withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
    }

    /// `127.0.0.1:5123`, `[::1]:5123`, or `unix:`, whatever the path: clients' sockets have none.
    public var text: String {
        var name = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        return withUnsafeBytes(of: storage) { bytes in
            let address = bytes.baseAddress!
            switch Int32(storage.ss_family) {
            case AF_INET:
                uv_ip4_name(address.assumingMemoryBound(to: sockaddr_in.self), &name, name.count)
                return "\(Self.text(name)):\(port)"
            case AF_INET6:
                uv_ip6_name(address.assumingMemoryBound(to: sockaddr_in6.self), &name, name.count)
                return "[\(Self.text(name))]:\(port)"
            default:
                return "unix:"
            }
        }
    }

    private static func text(_ name: [CChar]) -> String {
        name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }
}
