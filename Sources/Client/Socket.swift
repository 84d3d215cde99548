internal import Glibc
internal import FletchRPC

/// A connected, non-blocking TCP socket with waits that end at a deadline.
final class Socket {
    private let descriptor: Int32

    /// Connects to the first of the target's addresses that answers.
    init(connectingTo target: Target, deadline: ContinuousClock.Instant) throws(RPCError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var addresses: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(target.host, target.port, &hints, &addresses)
        guard failure == 0 else {
            throw RPCError(.unavailable, "cannot resolve '\(target.host)': \(String(cString: gai_strerror(failure)))")
        }
        defer { freeaddrinfo(addresses) }

        var reason = "no address"
        var next = addresses
        while let address = next {
            next = address.pointee.ai_next
            let descriptor = socket(
                address.pointee.ai_family,
                Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else {
                reason = String(cString: strerror(errno))
                continue
            }
            if let problem = Self.connect(descriptor, to: address.pointee, deadline: deadline) {
                reason = problem
                close(descriptor)
                continue
            }
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            self.descriptor = descriptor
            return
        }
        throw RPCError(.unavailable, "cannot connect to \(target.authority): \(reason); is the server running there?")
    }

    deinit { close(descriptor) }

    /// The number of bytes read, 0 at the end of the stream, nil where none are there yet.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Result<Int?, RPCError> {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        return count >= 0 ? .success(count) : failure(orWaiting: nil)
    }

    /// The number of bytes taken, 0 where the peer does not read.
    func write(_ bytes: UnsafeRawBufferPointer) -> Result<Int, RPCError> {
        let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        return count >= 0 ? .success(count) : failure(orWaiting: 0)
    }

    private func failure<Value>(orWaiting value: Value) -> Result<Value, RPCError> {
        if errno == EAGAIN || errno == EINTR { return .success(value) }
        return .failure(RPCError(.unavailable, "the connection was lost: \(String(cString: strerror(errno)))"))
    }

    /// Waits until the socket can be read (or written, where asked for); false where the deadline came first.
    func wait(writable: Bool, deadline: ContinuousClock.Instant?) -> Bool {
        Self.wait(descriptor, events: POLLIN | (writable ? POLLOUT : 0), deadline: deadline)
    }

    /// Nil once connected, else why not.
    private static func connect(_ descriptor: Int32, to address: addrinfo, deadline: ContinuousClock.Instant) -> String?
    {
        if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return nil }
        guard errno == EINPROGRESS else { return String(cString: strerror(errno)) }
        guard wait(descriptor, events: POLLOUT, deadline: deadline) else { return "no answer in time" }
        var failure: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &size)
        return failure == 0 ? nil : String(cString: strerror(failure))
    }

    private static func wait(_ descriptor: Int32, events: Int32, deadline: ContinuousClock.Instant?) -> Bool {
        while true {
            var timeout: Int32 = -1
            if let deadline {
                let left = ContinuousClock.now.duration(to: deadline)
                guard left > .zero else { return false }
                // Rounded up, so that a wait does not end before its deadline; a day at most, then it looks again.
                timeout = Int32(min(left, .seconds(86_400)) / .milliseconds(1)) + 1
            }
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            if poll(&entry, 1, timeout) > 0 { return true }
        }
    }
}
