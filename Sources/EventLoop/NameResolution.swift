internal import CUV
internal import Glibc

/// Asks the system for the addresses of a host, without holding the loop up.
public final class NameResolution {
    private var completion: ((Result<[SocketAddress], EventLoopError>) -> Void)?

    /// Begins to ask.
    ///
    /// - Parameter completion: Called on the loop's thread with at least one address, in the order in which they should
    ///   be tried; not after ``cancel()``.
    public init(
        host: String, port: UInt16, on loop: EventLoop,
        completion: @escaping (Result<[SocketAddress], EventLoopError>) -> Void
    ) {
        self.completion = completion
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let code = uv_getaddrinfo(loop.uv, request, onResolved, host, String(port), &hints)
        if code != 0 { onResolved(request, code, nil) }
    }

    /// Takes no answer any more.
    public func cancel() { completion = nil }

    fileprivate func finish(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
        let completion = completion
        self.completion = nil
        guard status == 0 else {
            completion?(.failure(EventLoopError(code: status)))
            return
        }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            addresses.append(SocketAddress(entry.ai_addr, length: entry.ai_addrlen))
            next = entry.ai_next
        }
        completion?(.success(addresses))
    }
}

private func onResolved(
    _ request: UnsafeMutablePointer<uv_getaddrinfo_t>?, _ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?
) {
    let resolution = Unmanaged<NameResolution>.fromOpaque(request!.pointee.data).takeRetainedValue()
    request!.deallocate()
    resolution.finish(status, list)
    uv_freeaddrinfo(list)
}
