internal import Glibc
internal import FletchRPC
internal import FletchSchema
internal import FletchServer
internal import FletchServiceSchema
internal import FletchWellKnownTypes

/// grpc.channelz.v1 of one server. Its loops are asked when a caller asks: calls pay for counting alone.
struct Channelz: Grpc_Channelz_V1_ChannelzAsyncService {
    /// What channelz calls things: ids are unique over all kinds.
    private enum ID {
        static let server: Int64 = 1
        static let firstListener: Int64 = 2
    }

    /// The most entries of a list in one answer: a page for a person; a connection takes 30 bytes of it.
    private static let pageSize = 100

    /// Held: a handler that was cut off may run on when the server has ended. The methods go with their loop, so that no
    /// cycle stays.
    let server: Server

    private var listeners: [Grpc_Channelz_V1_SocketRef] {
        server.addresses.enumerated().map { .init(socketID: ID.firstListener + Int64($0), name: "\($1)") }
    }

    private var firstConnectionID: Int64 { ID.firstListener + Int64(server.addresses.count) }

    // MARK: Servers

    func getServers(
        _ request: Grpc_Channelz_V1_GetServersRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetServersResponse {
        let servers = request.startServerID <= ID.server ? [await describeServer()] : []
        return .init(server: servers, end: true)
    }

    func getServer(
        _ request: Grpc_Channelz_V1_GetServerRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetServerResponse {
        try checkServer(request.serverID)
        return .init(server: await describeServer())
    }

    func getServerSockets(
        _ request: Grpc_Channelz_V1_GetServerSocketsRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetServerSocketsResponse {
        try checkServer(request.serverID)
        let wanted = request.maxResults > 0 ? min(Int(clamping: request.maxResults), Self.pageSize) : Self.pageSize
        let first = firstConnectionID
        let ids = await server.connectionIDs().map { first + Int64($0) }
        let following = ids.drop { $0 < request.startSocketID }
        return .init(
            socketRef: following.prefix(wanted).map { .init(socketID: $0) }, end: following.count <= wanted)
    }

    private func checkServer(_ id: Int64) throws(RPCError) {
        guard id == ID.server else {
            throw RPCError(.notFound, "there is no server \(id); the only one is \(ID.server)")
        }
    }

    private func describeServer() async -> Grpc_Channelz_V1_Server {
        let counters = await server.counters()
        return .init(
            ref: .init(serverID: ID.server, name: listeners.map(\.name).joined(separator: ",")),
            data: .init(
                callsStarted: Int64(clamping: counters.callsStarted), callsSucceeded: Int64(clamping: counters.callsOK),
                callsFailed: Int64(clamping: counters.callsFailed),
                lastCallStartedTimestamp: timestamp(ofMonotonic: counters.lastCallStarted)),
            listenSocket: listeners)
    }

    // MARK: Sockets

    func getSocket(
        _ request: Grpc_Channelz_V1_GetSocketRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetSocketResponse {
        if let listener = listeners.first(where: { $0.socketID == request.socketID }) {
            return .init(socket: .init(ref: listener, local: .init(text: listener.name)))
        }
        guard request.socketID >= firstConnectionID,
            let report = await server.report(ofConnection: Int(request.socketID - firstConnectionID))
        else { throw RPCError(.notFound, "there is no open socket \(request.socketID)") }
        return .init(socket: describe(report, id: request.socketID))
    }

    private func describe(_ report: ConnectionReport, id: Int64) -> Grpc_Channelz_V1_Socket {
        let over = report.callsStarted - UInt64(report.callsOpen)
        return .init(
            ref: .init(socketID: id, name: report.peerAddress),
            data: .init(
                streamsStarted: Int64(clamping: report.callsStarted),
                streamsSucceeded: Int64(clamping: over - min(over, report.callsUnanswered)),
                streamsFailed: Int64(clamping: report.callsUnanswered),
                messagesSent: Int64(clamping: report.messagesSent),
                messagesReceived: Int64(clamping: report.messagesReceived),
                keepAlivesSent: Int64(clamping: report.keepalivesSent),
                lastRemoteStreamCreatedTimestamp: timestamp(ofMonotonic: report.lastCallStarted)),
            local: .init(text: report.localAddress), remote: .init(text: report.peerAddress),
            security: report.cipherSuite.map { .init(model: .tls(.init(cipherSuite: .standardName($0)))) })
    }

    // MARK: Channels, of which a server has none

    func getTopChannels(
        _ request: Grpc_Channelz_V1_GetTopChannelsRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetTopChannelsResponse { .init(end: true) }

    func getChannel(
        _ request: Grpc_Channelz_V1_GetChannelRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetChannelResponse {
        throw RPCError(.notFound, "there is no channel \(request.channelID); the process has none")
    }

    func getSubchannel(
        _ request: Grpc_Channelz_V1_GetSubchannelRequest, _ call: AsyncCall
    ) async throws -> Grpc_Channelz_V1_GetSubchannelResponse {
        throw RPCError(.notFound, "there is no subchannel \(request.subchannelID); the process has none")
    }
}

extension Grpc_Channelz_V1_Address {
    /// An address as sockets write it: `127.0.0.1:5123`, `[::1]:5123`, `unix:`. Anything else is given as it is.
    init(text: String) {
        if text.hasPrefix("unix:") {
            self.init(address: .udsAddress(.init(filename: String(text.dropFirst("unix:".count)))))
        } else if let colon = text.lastIndex(of: ":"), let port = Int32(text[text.index(after: colon)...]),
            let bytes = Self.bytes(ofHost: text[..<colon])
        {
            self.init(address: .tcpipAddress(.init(ipAddress: bytes, port: port)))
        } else {
            self.init(address: .otherAddress(.init(name: text)))
        }
    }

    private static func bytes(ofHost host: Substring) -> [UInt8]? {
        let isIPv6 = host.hasPrefix("[") && host.hasSuffix("]")
        var bytes = [UInt8](repeating: 0, count: isIPv6 ? 16 : 4)
        let numeric = String(isIPv6 ? host.dropFirst().dropLast() : host)
        return inet_pton(isIPv6 ? AF_INET6 : AF_INET, numeric, &bytes) == 1 ? bytes : nil
    }
}

/// When something was by the clock on the wall; nil for 0, which is never.
private func timestamp(ofMonotonic time: UInt64) -> Google_Protobuf_Timestamp? {
    guard time > 0 else { return nil }
    func now(_ clock: clockid_t) -> Int64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }
    let nanoseconds = now(CLOCK_REALTIME) - (now(CLOCK_MONOTONIC) - Int64(clamping: time))
    return .init(seconds: nanoseconds / 1_000_000_000, nanos: Int32(nanoseconds % 1_000_000_000))
}
