import FletchClient
import FletchEventLoop
import Logging
import FletchRPC
import FletchSchema
import FletchServer
import FletchServiceSchema
import FletchWellKnownTypes
import Testing

@testable import FletchStandardServices

/// A server of the standard services alone, asked through the generated stubs; streams are asked for in EndToEnd.
private final class Running {
    let server: Server
    let channel: Channel

    init(_ services: StandardServices, loopCount: Int = 2) throws {
        var configuration = ServerConfiguration(address: try ListenAddress("127.0.0.1:0"))
        configuration.handlesSignals = false
        configuration.loopCount = loopCount
        configuration.drainTimeout = .seconds(2)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        server = Server(configuration, logger: logger) { _ in [] }
        server.add(services)
        channel = try Channel(to: "\(try server.start()[0])")
    }

    deinit {
        server.shutDown()
        server.wait()
    }
}

private func failure(_ body: () async throws -> Void) async -> StatusCode? {
    do { try await body() } catch { return (error as? RPCError)?.code }
    return nil
}

@Suite struct HealthTests {
    @Test func checksAndLists() async throws {
        let running = try Running(.health)
        let client = HealthClient(running.channel)
        running.server.health.set("table:a", .notServing)
        #expect(try await client.check(HealthCheckRequest()).status == .serving)
        #expect(try await client.check(HealthCheckRequest(service: "table:a")).status == .notServing)
        #expect(await failure { _ = try await client.check(HealthCheckRequest(service: "b")) } == .notFound)
        let statuses = try await client.list(HealthListRequest()).statuses.mapValues(\.status)
        #expect(statuses == ["": .serving, "table:a": .notServing])
    }
}

@Suite struct ChannelzTests {
    private let running: Running
    private let client: Grpc_Channelz_V1_ChannelzClient

    init() throws {
        running = try Running([.channelz, .health])
        client = Grpc_Channelz_V1_ChannelzClient(running.channel)
    }

    @Test func countsCallsAndMessages() async throws {
        let health = HealthClient(running.channel)
        for _ in 0..<3 { _ = try await health.check(HealthCheckRequest()) }
        #expect(await failure { _ = try await health.check(HealthCheckRequest(service: "x")) } == .notFound)
        let server = try #require(try await client.getServers(.init()).server.first)
        let data = try #require(server.data)
        // The call that asks has begun and is not over.
        #expect(data.callsStarted == 5 && data.callsSucceeded == 3 && data.callsFailed == 1)
        #expect(data.lastCallStartedTimestamp?.seconds ?? 0 > 1_700_000_000)
        #expect(try await client.getServer(.init(serverID: server.ref?.serverID ?? 0)).server?.ref == server.ref)

        let references = try await client.getServerSockets(.init(serverID: 1)).socketRef
        #expect(references.count == 1)
        let socket = try #require(try await client.getSocket(.init(socketID: references[0].socketID)).socket)
        let traffic = try #require(socket.data)
        #expect(traffic.streamsStarted == 8 && traffic.streamsSucceeded == 7 && traffic.streamsFailed == 0)
        #expect(traffic.messagesReceived == 8 && traffic.messagesSent == 6)
        guard case .tcpipAddress(let local) = socket.local?.address,
            case .tcpipAddress(let remote) = socket.remote?.address
        else {
            Issue.record("no addresses")
            return
        }
        #expect(local.ipAddress == [127, 0, 0, 1] && "127.0.0.1:\(local.port)" == "\(running.server.addresses[0])")
        #expect(remote.ipAddress == [127, 0, 0, 1] && remote.port > 0 && remote.port != local.port)
    }

    @Test func doesNotKeepAServerThatHasEnded() async throws {
        weak var server: Server?
        do {
            let running = try Running([.channelz])
            server = running.server
            let client = Grpc_Channelz_V1_ChannelzClient(running.channel)
            #expect(try await client.getServers(.init()).server.count == 1)
        }
        #expect(server == nil)
    }

    @Test func listsConnectionsInPages() async throws {
        let others = try (0..<6).map { _ in try Channel(to: "\(running.server.addresses[0])") }
        for other in others { _ = try await HealthClient(other).check(HealthCheckRequest()) }
        var ids: [Int64] = []
        while true {
            let page = try await client.getServerSockets(
                .init(serverID: 1, startSocketID: (ids.last ?? 0) + 1, maxResults: 3))
            #expect(page.socketRef.count <= 3)
            ids += page.socketRef.map(\.socketID)
            if page.end { break }
        }
        #expect(ids.count == 7 && ids == Set(ids).sorted())
        #expect(try await client.getServerSockets(.init(serverID: 1)).end)
    }

    @Test func hasNoChannelsAndNothingElse() async throws {
        #expect(try await client.getTopChannels(.init()) == .init(end: true))
        #expect(try await client.getServers(.init(startServerID: 2)).server.isEmpty)
        #expect(await failure { _ = try await client.getChannel(.init(channelID: 1)) } == .notFound)
        #expect(await failure { _ = try await client.getSubchannel(.init(subchannelID: 1)) } == .notFound)
        #expect(await failure { _ = try await client.getServer(.init(serverID: 2)) } == .notFound)
        #expect(await failure { _ = try await client.getServerSockets(.init(serverID: 9)) } == .notFound)
        for id: Int64 in [-1, 0, 1, 99, .max] {
            #expect(await failure { _ = try await client.getSocket(.init(socketID: id)) } == .notFound)
        }
        let listener = try #require(try await client.getServers(.init()).server.first?.listenSocket.first)
        #expect(try await client.getSocket(.init(socketID: listener.socketID)).socket?.remote == nil)
    }

    @Test(arguments: [
        (
            "[::1]:80",
            Grpc_Channelz_V1_Address(
                address: .tcpipAddress(.init(ipAddress: [UInt8](repeating: 0, count: 15) + [1], port: 80)))
        ),
        ("unix:/run/x", .init(address: .udsAddress(.init(filename: "/run/x")))),
        ("", .init(address: .otherAddress(.init()))),
        ("nobody", .init(address: .otherAddress(.init(name: "nobody")))),
    ])
    func addresses(_ text: String, _ address: Grpc_Channelz_V1_Address) {
        #expect(Grpc_Channelz_V1_Address(text: text) == address)
    }
}

@Suite struct DescriptorIndexTests {
    @Test func findsWhatServicesNeed() {
        let index = DescriptorIndex([Grpc_Channelz_V1_Channelz.descriptor, Health.descriptor, Health.descriptor])
        #expect(index.services == ["grpc.channelz.v1.Channelz", "grpc.health.v1.Health"])
        #expect(index.file(declaring: "grpc.health.v1.Health.Watch") === HealthSchema.file)
        #expect(index.file(declaring: "grpc.health.v1.HealthCheckResponse.ServingStatus") === HealthSchema.file)
        #expect(index.file(declaring: "google.protobuf.Any") === Google_Protobuf_AnySchema.file)
        #expect(index.file(named: "google/protobuf/wrappers.proto") === Google_Protobuf_WrappersSchema.file)
        #expect(index.file(named: "fletch/v1/related_products.proto") == nil)
        #expect(index.file(declaring: "grpc.health.v1") == nil)
    }
}
