import FletchEventLoop
import FletchHTTP2
import Logging
public import FletchRPC
import FletchRichErrors
import ScriptedPeer
public import TestSupport
import Testing
import FletchWire

@testable import FletchInterceptors

extension ManualExecutor: CallExecutor {}

/// Connections of several clients over one loop's interceptors, without sockets, with a clock that the test turns.
private final class Harness {
    private(set) var now: UInt64 = 1_000_000_000
    private var dispatcher: Dispatcher!
    private var connections: [ServerConnection] = []
    private var readers: [PeerReader] = []
    private var streams: [UInt32] = []

    init(_ interceptors: [Interceptor]) {
        let methods = ["/test.Echo/Echo", "/grpc.health.v1.Health/Check"].map { path in
            Method(path: path) { call throws(RPCError) in
                let memory = call.arena.allocate(byteCount: UnaryCallStorage.prefixByteCount + 3)!
                call.respond(
                    encoded: UnsafeMutableRawBufferPointer(start: memory + UnaryCallStorage.prefixByteCount, count: 3))
            }
        }
        dispatcher = Dispatcher(
            methods: methods, interceptors: interceptors, executor: ManualExecutor(), clock: { [unowned self] in now })
    }

    deinit { for connection in connections { connection.close() } }

    /// Opens a connection; its number.
    func connect(from address: String = "192.0.2.1:1000") -> Int {
        connections.append(try! ServerConnection(dispatcher: dispatcher, peer: Peer(address: address)))
        readers.append(PeerReader())
        streams.append(1)
        send(handshake(), on: connections.count - 1)
        return connections.count - 1
    }

    func send(_ bytes: [UInt8], on connection: Int) {
        _ = bytes.withUnsafeBytes { try? connections[connection].receive($0) }
        while true {
            dispatcher.output.clear()
            guard let isComplete = try? connections[connection].fill(dispatcher.output) else { return }
            readers[connection].read(dispatcher.output.bytes)
            if isComplete { return }
        }
    }

    /// Begins a call without ending its request; the stream.
    func begin(_ path: String = "/test.Echo/Echo", on connection: Int = 0) -> UInt32 {
        let stream = streams[connection]
        streams[connection] += 2
        send(headersFrame(stream: stream, requestFields(path)), on: connection)
        return stream
    }

    /// Makes a whole call.
    @discardableResult
    func call(
        _ path: String = "/test.Echo/Echo", on connection: Int = 0, replacing: [(String, String?)] = []
    ) -> PeerReader.Response {
        let stream = streams[connection]
        streams[connection] += 2
        send(unaryCall(stream: stream, path, [1, 2], replacing: replacing), on: connection)
        return readers[connection].responses[stream] ?? PeerReader.Response()
    }

    func response(_ stream: UInt32, on connection: Int = 0) -> PeerReader.Response? {
        readers[connection].responses[stream]
    }

    func wait(milliseconds: UInt64) { now += milliseconds * 1_000_000 }
    var counters: Counters { dispatcher.allCounters }
}

@Suite struct PeerLimitTests {
    @Test func holdsAClientToItsRate() {
        let harness = Harness([PeerLimits(maxCallsPerSecond: 10)])
        let first = harness.connect()
        let second = harness.connect(from: "192.0.2.1:2000")
        let other = harness.connect(from: "192.0.2.2:1000")
        for _ in 0..<5 {
            #expect(harness.call(on: first).status == 0)
            #expect(harness.call(on: second).status == 0)
        }
        let response = harness.call(on: first)
        #expect(response.status == 8 && response["grpc-retry-pushback-ms"] == "101")
        #expect(harness.call(on: other).status == 0)
        #expect(harness.call("/grpc.health.v1.Health/Check", on: first).status == 0)
        harness.wait(milliseconds: 100)
        #expect(harness.call(on: second).status == 0)
        #expect(harness.call(on: second).status == 8)
        harness.wait(milliseconds: 1000)
        #expect((0..<11).map { _ in harness.call(on: first).status } == Array(repeating: 0, count: 10) + [8])
    }

    @Test func holdsAClientToItsCallsAtOnce() {
        let harness = Harness([PeerLimits(maxConcurrentCalls: 2)])
        let connection = harness.connect()
        let open = [harness.begin(), harness.begin()]
        #expect(harness.call().status == 8)
        #expect(harness.call("/grpc.health.v1.Health/Check").status == 0)
        #expect(harness.call(on: harness.connect(from: "[2001:db8::1]:1000")).status == 0)
        harness.send(frame(.reset, stream: open[0], bigEndian(8)), on: connection)
        #expect(harness.call().status == 0)
        #expect(harness.call("/test.Echo/Nothing").status == 12)
        #expect(harness.call().status == 0)
        harness.send(dataFrame(stream: open[1], framed([])), on: connection)
        #expect(harness.response(open[1])?.status == 0)
    }

    @Test func aNetworkOfIPv6IsOneClient() {
        let harness = Harness([PeerLimits(maxCallsPerSecond: 1)])
        #expect(harness.call(on: harness.connect(from: "[2001:db8::1]:1000")).status == 0)
        #expect(harness.call(on: harness.connect(from: "[2001:db8::ffff:2]:1000")).status == 8)
        #expect(harness.call(on: harness.connect(from: "[2001:db8:0:1::1]:1000")).status == 0)
    }

    @Test func forgetsClientsAtRest() {
        let limits = PeerLimits(maxCallsPerSecond: 10, maxConcurrentCalls: 10)
        let harness = Harness([limits])
        for client in 0..<5000 {
            harness.wait(milliseconds: 1)
            #expect(harness.call(on: harness.connect(from: "192.0.2.\(client):1")).status == 0)
        }
        #expect(limits.rememberedClients <= 1024)
    }

    @Test(arguments: [1, 3, 1000]) func aPaceIsKept(_ rate: UInt64) {
        var pace = Pace()
        let interval = 1_000_000_000 / rate
        var taken: UInt64 = 0
        for millisecond in 0..<UInt64(10_000) {
            if pace.take(now: millisecond * 1_000_000, interval: interval, burst: rate) == 0 { taken += 1 }
        }
        #expect(taken >= 10 * rate - 1 && taken <= 11 * rate)
    }
}

@Suite struct BearerAuthenticationTests {
    private static let token = "0123456789abcdef-._~+/="
    private let directory = TemporaryDirectory()
    private var path: String { "\(directory.path)/tokens" }

    private func write(_ text: String) { writeBytes(Array(text.utf8), to: path) }

    private func store() throws -> BearerTokenStore {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try BearerTokenStore(path: path, logger: logger)
    }

    private func status(_ harness: Harness, _ authorization: String?) -> Int? {
        harness.call(replacing: [("authorization", authorization)]).status
    }

    @Test func letsKnownTokensIn() throws {
        write("# two tokens\n\n\(Self.token)\r\nanother-token-0123456789\n")
        let harness = Harness([BearerAuthentication(try store())])
        _ = harness.connect()
        for known in ["Bearer \(Self.token)", "bearer another-token-0123456789", "BEARER \(Self.token)"] {
            #expect(status(harness, known) == 0)
        }
        for unknown in [
            nil, "", "Bearer", "Basic \(Self.token)", "Bearer \(Self.token)x", "Bearer  \(Self.token)",
            "Bearer \(Self.token.dropLast())", "Bearer \(Self.token)\(Self.token)", Self.token,
            "Bearer # two tokens",
        ] {
            #expect(status(harness, unknown) == 16, "\(unknown ?? "none")")
        }
        #expect(harness.call("/grpc.health.v1.Health/Check").status == 0)
        #expect(harness.call("/test.Echo/Nothing").status == 12)
    }

    @Test func takesNewTokensUpAndKeepsTheOldOnesWhereTheFileIsBad() throws {
        write("\(Self.token)\n")
        let store = try store()
        let harness = Harness([BearerAuthentication(store)])
        _ = harness.connect()
        write("another-token-0123456789\n")
        #expect(status(harness, "Bearer \(Self.token)") == 0)
        store.reload()
        #expect(status(harness, "Bearer \(Self.token)") == 16)
        write("short\n")
        store.reload()
        #expect(status(harness, "Bearer another-token-0123456789") == 0)
    }

    @Test(arguments: [
        ("", "holds no bearer token"), ("# none\n", "holds no bearer token"),
        ("0123456789abcdef\nshort\n", "line 2"), ("0123456789abcdef ghi\n", "line 1"),
    ])
    func refusesABadFileAndNamesTheLine(_ text: String, _ reason: String) throws {
        write(text)
        let error = #expect(throws: BearerTokens.Invalid.self) { try BearerTokens(file: path) }
        #expect(error?.description.contains(reason) == true && error?.description.contains(path) == true)
        let missing = #expect(throws: BearerTokens.Invalid.self) { try BearerTokens(file: path + "x") }
        #expect(missing?.description.contains("No such file") == true)
    }
}

@Suite struct MetricsTests {
    @Test func measuresEachMethod() throws {
        let harness = Harness([MetricsCollector()])
        _ = harness.connect()
        for _ in 0..<3 { harness.call() }
        harness.call("/test.Echo/Nothing")
        harness.call("/test.Echo/Other")
        let open = harness.begin()
        harness.wait(milliseconds: 7)
        harness.send(frame(.reset, stream: open, bigEndian(8)), on: 0)
        let methods = harness.counters.methods
        #expect(methods.keys.sorted() == ["/test.Echo/Echo", "other"])
        let echo = try #require(methods["/test.Echo/Echo"])
        #expect(echo.started == 4 && echo.endedByStatus[0] == 3 && echo.endedByStatus[1] == 1)
        #expect(echo.duration.count == 4 && echo.duration.sum == 7_000_000)
        #expect(echo.duration.bound(ofPart: 0.75) == 0 && echo.duration.bound(ofPart: 1) == 8_000_000)
        #expect(echo.receivedBytes.sum == 6 && echo.sentBytes.sum == 9)
        #expect(methods["other"]?.endedByStatus[12] == 2)
        let both = (harness.counters + harness.counters).methods["/test.Echo/Echo"]
        #expect(both?.started == 8 && both?.duration.count == 8)
        #expect(echo.description.hasPrefix("grpc.server.call.started=4 ok=3 cancelled=1 "))
    }

    @Test func countsValuesBetweenBounds() {
        var histogram = Histogram(bounds: [10, 20])
        #expect(histogram.bound(ofPart: 0.5) == nil)
        for value in [UInt64(0), 10, 11, 20, 21, 1000] { histogram.record(value) }
        #expect(histogram.counts == [2, 2, 2] && histogram.sum == 1062)
        #expect(histogram.bound(ofPart: 0.5) == 20 && histogram.bound(ofPart: 0.9) == nil)
    }
}

@Suite struct AccessLogTests {
    /// Lines that a logger was given.
    private final class Lines: @unchecked Sendable {
        var lines: [String] = []
    }

    private struct Handler: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.info
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            lines.lines.append(([event.message.description] + fields).joined(separator: " "))
        }
    }

    private let lines = Lines()

    private func harness(maxLinesPerSecond: Int) -> Harness {
        let logger = Logger(label: "test", factory: { [lines] _ in Handler(lines: lines) })
        let harness = Harness([AccessLog(logger: logger, maxLinesPerSecond: maxLinesPerSecond)])
        _ = harness.connect()
        return harness
    }

    @Test func tellsOfEachCall() throws {
        let harness = harness(maxLinesPerSecond: 10)
        harness.call()
        #expect(
            lines.lines == [
                "/test.Echo/Echo OK milliseconds=0.0 peer=192.0.2.1:1000 request_bytes=2 request_messages=1 "
                    + "response_bytes=3 response_messages=1"
            ])
        // HTTP/2 itself forbids spaces and control characters.
        harness.call("/test.Echo/é" + String(repeating: "x", count: 1000))
        try #require(lines.lines.count == 2)
        #expect(lines.lines[1].hasPrefix("/test.Echo/??xxx") && lines.lines[1].contains("xxx UNIMPLEMENTED "))
        #expect(lines.lines[1].count < 400)
    }

    @Test func doesNotFollowAFlood() {
        let harness = harness(maxLinesPerSecond: 5)
        for _ in 0..<100 { harness.call() }
        #expect(lines.lines.count == 5)
        harness.wait(milliseconds: 200)
        harness.call()
        #expect(lines.lines.count == 6 && lines.lines[5].contains("calls_not_logged=95"))
    }
}
