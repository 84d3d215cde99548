public import FletchRPC

/// A blocking gRPC channel over one HTTP/2 connection without TLS, for command-line tools and tests.
///
/// It connects at the first call and again after the connection was lost. One call at a time; not Sendable.
public final class Channel: ClientChannel {
    /// The largest response message that is accepted, as other gRPC clients default to.
    public static let maxResponseBytes = 4 << 20

    private let target: Target
    private let connectTimeout: Duration
    private var connection: Connection?

    /// - Parameters:
    ///   - target: `host:port` or `[ipv6]:port`.
    ///   - connectTimeout: How long connecting may take where a call sets no deadline.
    /// - Throws: `invalidArgument` where the target cannot be read.
    public init(target: String, connectTimeout: Duration = .seconds(10)) throws(RPCError) {
        self.target = try Target(parsing: target)
        self.connectTimeout = connectTimeout
    }

    public func unary(path: String, request: [UInt8], options: CallOptions) throws(RPCError) -> [UInt8] {
        let deadline = options.timeout.map { ContinuousClock.now + $0 }
        let connection = try openConnection(deadline: deadline)
        do throws(RPCError) {
            return try connection.unary(
                path: path, authority: target.authority, request: request, options: options, deadline: deadline)
        } catch {
            if connection.isClosing { self.connection = nil }
            throw error
        }
    }

    private func openConnection(deadline: ContinuousClock.Instant?) throws(RPCError) -> Connection {
        if let connection, !connection.isClosing { return connection }
        let socket = try Socket(
            connectingTo: target, deadline: deadline ?? ContinuousClock.now + connectTimeout)
        let opened = Connection(socket: socket)
        connection = opened
        return opened
    }
}

/// Where a channel connects to.
struct Target {
    var host: String
    var port: String
    /// What the request's `:authority` says.
    var authority: String

    init(parsing text: String) throws(RPCError) {
        guard let colon = text.lastIndex(of: ":"), let number = UInt16(text[text.index(after: colon)...]), number > 0
        else { throw Self.malformed(text) }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Self.malformed(text)
        }
        guard !host.isEmpty else { throw Self.malformed(text) }
        self.host = String(host)
        port = String(number)
        authority = text
    }

    private static func malformed(_ text: String) -> RPCError {
        RPCError(
            .invalidArgument, "server '\(text)' is not HOST:PORT; write for example 127.0.0.1:50051 or [::1]:50051")
    }
}
