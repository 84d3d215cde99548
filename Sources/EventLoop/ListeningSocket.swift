internal import Glibc

/// A bound socket that a loop can listen on; closed with this unless a listener has taken it.
public final class ListeningSocket {
    /// Where it is bound; the port is the real one where 0 was asked for.
    public let address: ListenAddress
    private var descriptor: Int32
    /// The file of a Unix domain socket, shared by all its descriptors.
    private let file: SocketFile?

    private init(descriptor: Int32, address: ListenAddress, file: SocketFile?) {
        self.descriptor = descriptor
        self.address = address
        self.file = file
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Binds `count` sockets to `address`, one for each loop.
    ///
    /// An internet address has a socket for each (SO_REUSEPORT): the kernel spreads connections over them and loops
    /// share nothing. A Unix domain socket has one queue, which all its descriptors take connections from.
    ///
    /// - Throws: Where the address cannot be had, in words that name it. The socket file of a server that is gone is
    ///   replaced; one that a server listens on is not.
    public static func bind(_ address: ListenAddress, count: Int) throws(EventLoopError) -> [ListeningSocket] {
        if case .unix(let path) = address.kind { return try bindUnix(address, path: path, count: count) }
        if count > 1, case .internet(_, let port) = address.kind, port != 0 {
            // Shared sockets would also share with another server; an unshared one tells whether there is any.
            _ = try bindInternet(address, isShared: false)
        }
        var sockets: [ListeningSocket] = []
        for _ in 0..<count {
            // The first one chooses the port where it is free.
            sockets.append(try bindInternet(sockets.first?.address ?? address, isShared: count > 1))
        }
        return sockets
    }

    /// Hands the descriptor to a listener, which closes it.
    func takeDescriptor() -> Int32 {
        defer { descriptor = -1 }
        return descriptor
    }

    // MARK: Internet

    private static func bindInternet(_ address: ListenAddress, isShared: Bool) throws(EventLoopError) -> ListeningSocket
    {
        let descriptor = try open(address)
        enable(SO_REUSEADDR, SOL_SOCKET, of: descriptor)
        if isShared { enable(SO_REUSEPORT, SOL_SOCKET, of: descriptor) }
        // [::] is for IPv6 alone, whatever the system's default: what is listened on is what was written.
        if address.family == AF_INET6 { enable(IPV6_V6ONLY, Int32(IPPROTO_IPV6), of: descriptor) }
        try bind(descriptor, to: address)
        let port = SocketAddress(of: descriptor) { getsockname($0, $1, $2) }?.port ?? 0
        return ListeningSocket(descriptor: descriptor, address: address.withPort(port), file: nil)
    }

    private static func enable(_ option: Int32, _ level: Int32, of descriptor: Int32) {
        var one: Int32 = 1
        setsockopt(descriptor, level, option, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    // MARK: Unix domain

    private static func bindUnix(_ address: ListenAddress, path: String, count: Int) throws(EventLoopError)
        -> [ListeningSocket]
    {
        try SocketFile.clear(address, path: path)
        let first = try open(address)
        try bind(first, to: address)
        let file = SocketFile(path)
        // At once: until it listens, another server that starts takes the file for one of a server that is gone.
        guard listen(first, StreamListener.backlog) == 0 else { throw fail(address, closing: first) }
        var sockets = [ListeningSocket(descriptor: first, address: address, file: file)]
        for _ in 1..<count {
            let copy = fcntl(first, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else { throw EventLoopError(code: -errno, doing: "listen on \(address)") }
            sockets.append(ListeningSocket(descriptor: copy, address: address, file: file))
        }
        return sockets
    }

    // MARK: Both

    private static func open(_ address: ListenAddress) throws(EventLoopError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { throw EventLoopError(code: -errno, doing: "listen on \(address)") }
        return descriptor
    }

    private static func bind(_ descriptor: Int32, to address: ListenAddress) throws(EventLoopError) {
        let code = address.withSocketAddress { Glibc.bind(descriptor, $0, $1) } ?? -1
        guard code == 0 else { throw fail(address, closing: descriptor) }
    }

    private static func fail(_ address: ListenAddress, closing descriptor: Int32) -> EventLoopError {
        let error = EventLoopError(code: -errno, doing: "listen on \(address)")
        close(descriptor)
        return error
    }
}

/// The file that a Unix domain socket is bound to: removed with the last of the socket's descriptors.
final class SocketFile: Sendable {
    private let path: String
    private let identity: Identity?

    private struct Identity: Equatable {
        let device: dev_t
        let inode: ino_t
    }

    /// The file at `path`, just bound.
    init(_ path: String) {
        self.path = path
        identity = Self.status(path).map(Self.identity)
    }

    deinit {
        // Another server may have put its own in the place.
        if let status = Self.status(path), Self.identity(status) == identity { unlink(path) }
    }

    /// Removes what a server that is gone has left at `path`.
    ///
    /// - Throws: Where something else is there, or a server listens on it.
    static func clear(_ address: ListenAddress, path: String) throws(EventLoopError) {
        guard let status = status(path) else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw EventLoopError("cannot listen on \(address): the file is no socket; choose another path")
        }
        guard try !isListenedOn(address) else {
            throw EventLoopError("cannot listen on \(address): a running server listens there")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw EventLoopError(code: -errno, doing: "remove the left-over socket of \(address)")
        }
    }

    private static func isListenedOn(_ address: ListenAddress) throws(EventLoopError) -> Bool {
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw EventLoopError(code: -errno, doing: "listen on \(address)") }
        defer { close(probe) }
        let code = address.withSocketAddress { connect(probe, $0, $1) } ?? -1
        // Any other answer than a refusal (no room in its queue, no permission) may come from a running server.
        return code == 0 || (errno != ECONNREFUSED && errno != ENOENT)
    }

    private static func status(_ path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    private static func identity(_ status: stat) -> Identity { Identity(device: status.st_dev, inode: status.st_ino) }
}
