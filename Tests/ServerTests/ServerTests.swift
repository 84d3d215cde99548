import FletchEventLoop
import Glibc
import FletchHTTP2
import Logging
import FletchRPC
import ScriptedPeer
import FletchServer
import Testing
import FletchWire

let pingFrame = frame(.ping, [UInt8](repeating: 0, count: 8))

@Suite struct ServerTests {
    @Test(arguments: ["127.0.0.1", "[::1]", "0.0.0.0"]) func answersOverTheNetwork(_ host: String) throws {
        let running = try Running("\(host):0")
        let peer = running.connect()
        let response = peer.call(1, "/test.Echo/Echo", [1, 2, 3])
        #expect(response?.message == [1, 2, 3])
        #expect(response?.status == 0)
        #expect(running.server.counters().callsOK == 1)
    }

    @Test func answersErrorsAndServesOn() throws {
        let running = try Running()
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Nothing")?.status == 12)
        #expect(peer.call(3, "/test.Echo/Echo", replacing: [("content-type", "text/html")])?.httpStatus == "415")
        #expect(peer.call(5, "/test.Echo/Echo", replacing: [(":method", "PUT")])?.httpStatus == "405")
        #expect(peer.call(7, "/test.Echo/Echo", replacing: [("grpc-timeout", "x")])?.httpStatus == "400")
        #expect(peer.call(9, "/test.Echo/Echo", [1])?.message == [1])
        let counters = running.server.counters()
        #expect(counters.callsStarted == 5)
        #expect(counters.callsOK == 1)
    }

    @Test(arguments: [false, true]) func echoesLargeMessages(_ isEncrypted: Bool) throws {
        let running = try Running(tls: isEncrypted ? serverFiles() : nil)
        let peer = running.connect()
        peer.send(frame(.windowUpdate, bigEndian(1 << 30)))
        let message = [UInt8](repeating: 3, count: 4 << 20)
        peer.send(
            headersFrame(stream: 1, requestFields("/test.Echo/Echo"))
                + frame(.windowUpdate, stream: 1, bigEndian(1 << 30)))
        var rest = framed(message)[...]
        var sent = 0
        while !rest.isEmpty {
            let window = Int(Limits().streamWindowBytes) + peer.reader.windowGranted - sent
            if window < 16_384 {
                let granted = peer.reader.windowGranted
                try #require(peer.read { $0.windowGranted > granted })
            }
            let part = rest.prefix(16_384)
            rest = rest.dropFirst(16_384)
            peer.send(dataFrame(stream: 1, Array(part), end: rest.isEmpty))
            sent += part.count
        }
        #expect(peer.read { $0.responses[1]?.ended == true })
        #expect(peer.reader.responses[1]?.message == message)
    }

    @Test func knowsTheHealthOfItsServicesAndLetsItBeSet() throws {
        let running = try Running()
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        let health = running.server.health
        #expect(health.all == ["": .serving, "test.Echo": .serving])
        health.set("test.Echo", .notServing)
        health.set("table:test", .serving)
        #expect(health.all == ["": .serving, "test.Echo": .notServing, "table:test": .serving])
        #expect(health["test.Echo"] == .notServing && health["x"] == nil)
    }

    @Test func answersADeadlineWhoseBodyNeverEnds() throws {
        let running = try Running()
        let peer = running.connect()
        peer.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo", replacing: [("grpc-timeout", "50m")])))
        #expect(peer.read { $0.responses[1]?.resetCode != nil })
        #expect(peer.reader.responses[1]?.status == 4)
        #expect(peer.call(3, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func sharesAPortBetweenLoopsAndReachesEachOfThem() throws {
        let running = try Running { $0.loopCount = 3 }
        let peers = (0..<12).map { _ in running.connect() }
        for peer in peers { #expect(peer.call(1, "/test.Echo/Echo", [1])?.message == [1]) }
        #expect(running.server.counters().callsOK == 12)
        let seen = SharedList()
        running.server.onEachLoop({ seen.append($0) }, completion: { seen.finish() })
        #expect(seen.waitForAll().sorted() == [0, 1, 2])
    }

    @Test(arguments: [1, 2]) func refusesAnAddressInUse(_ loopCount: Int) throws {
        let running = try Running { $0.loopCount = loopCount }
        var configuration = ServerConfiguration(address: running.address)
        configuration.loopCount = 2
        let second = Server(configuration, logger: Logger(label: "test")) { _ in [] }
        #expect {
            _ = try second.start()
        } throws: { "\($0)" == "cannot listen on \(running.address): address already in use" }
    }

    @Test func mayOpenAsManyFilesAsTheSystemAllows() throws {
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        getrlimit(files, &limit)
        limit.rlim_cur = min(limit.rlim_max, 512)
        setrlimit(files, &limit)
        let running = try Running()
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.message == [1])
        getrlimit(files, &limit)
        #expect(limit.rlim_cur == limit.rlim_max)
    }

    @Test func endsLoopsThatCouldNotAllStart() throws {
        // 192.0.2.1 is reserved for documentation: no machine has it.
        let server = Server(
            ServerConfiguration(address: try ListenAddress("192.0.2.1:0")), logger: Logger(label: "test")
        ) { _ in [] }
        #expect { _ = try server.start() } throws: { "\($0)".hasPrefix("cannot listen on 192.0.2.1:0: ") }
    }
}

@Suite struct AbuseTests {
    @Test func closesOnGarbage() throws {
        let running = try Running()
        let peer = SocketPeer(running.address)
        peer.send(Array("\u{16}\u{3}\u{1}GARBAGE that is no preface at all".utf8))
        #expect(peer.waitForClose())
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func closesOnBrokenFramesAfterThePreface() throws {
        let running = try Running()
        let peer = running.connect()
        peer.send(frame(.data, stream: 7, [1]) + frame(.continuation, stream: 9, [0xFF]))
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.last?.code == 1)
    }

    @Test func answersAHeaderListOverTheLimit() throws {
        let running = try Running()
        let peer = running.connect()
        let large = [("x-large", String(repeating: "a", count: 20_000))] as [(String, String?)]
        #expect(peer.call(1, "/test.Echo/Echo", replacing: large)?.httpStatus == "431")
        #expect(peer.call(3, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func survivesAHeaderBomb() throws {
        let running = try Running()
        let peer = running.connect()
        let field = Array(headerBlock([("x", String(repeating: "a", count: 4000))]).dropFirst())
        let block = headerBlock(requestFields("/test.Echo/Echo")) + [0x40] + field
        let bomb = block + [UInt8](repeating: 0xBE, count: 12_000)
        for stream in 0..<20 {
            peer.send(frame(.headers, flags: Flag.endHeaders, stream: UInt32(2 * stream + 1), bomb))
        }
        _ = peer.read { $0.responses[39]?.resetCode != nil || !$0.goAways.isEmpty }
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func endsARapidReset() throws {
        let running = try Running { $0.connectionLimits.peerResetBurst = 100 }
        let peer = running.connect()
        for call in 0..<1000 {
            let stream = UInt32(2 * call + 1)
            let pair =
                headersFrame(stream: stream, requestFields("/test.Echo/Echo"))
                + frame(.reset, stream: stream, bigEndian(8))
            if !peer.send(pair) { break }
        }
        #expect(peer.waitForClose())
        eventually { running.server.counters().connectionsOpen == 0 }
    }

    @Test(arguments: [FrameType.ping, .settings, .data])
    func endsAFloodFromAPeerThatReads(_ type: FrameType) throws {
        let running = try Running { $0.connectionLimits.noProgressFrameBurst = 100 }
        let peer = running.connect()
        peer.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        let flood = type == .ping ? pingFrame : type == .data ? dataFrame(stream: 1, [], end: false) : frame(.settings)
        for _ in 0..<300 { if !peer.send(flood) { break } }
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.last?.code ?? 11 == 11)
    }

    @Test(arguments: [false, true]) func closesAPeerThatDoesNotReadItsAnswers(_ isEncrypted: Bool) throws {
        let running = try Running(tls: isEncrypted ? serverFiles() : nil) {
            $0.stallTimeout = .seconds(1)
            $0.callLimits.maxBytesInFlight = 64 << 20
        }
        let peer = running.connect(receiveBuffer: 4096)
        let message = [UInt8](repeating: 1, count: 12_000)
        peer.send(frame(.windowUpdate, bigEndian(1 << 30)))
        for call in 0..<2000 {
            let stream = UInt32(2 * call + 1)
            if !peer.send(unaryCall(stream: stream, "/test.Echo/Echo", message)) { break }
        }
        eventually { running.server.counters().connectionsOpen == 0 }
    }

    @Test func closesAPeerThatGrantsNoWindow() throws {
        let running = try Running { $0.stallTimeout = .seconds(1) }
        let peer = SocketPeer(running.address)
        peer.send(handshake([(4, 0)]))  // SETTINGS_INITIAL_WINDOW_SIZE 0
        peer.send(unaryCall(stream: 1, "/test.Echo/Echo", [1]))
        #expect(peer.waitForClose())
    }

    @Test func closesConnectionsThatNeverBegin() throws {
        let running = try Running { $0.prefaceTimeout = .milliseconds(200) }
        let silent = SocketPeer(running.address)
        let dribbling = SocketPeer(running.address)
        dribbling.send(Array(clientPreface.prefix(10)))
        #expect(silent.waitForClose())
        #expect(dribbling.waitForClose())
    }

    @Test func closesConnectionsWhoseHeadersNeverEnd() throws {
        let running = try Running { $0.headersTimeout = .milliseconds(200) }
        let peer = running.connect()
        peer.send(frame(.headers, stream: 1, headerBlock(requestFields("/test.Echo/Echo"))))
        #expect(peer.waitForClose())
    }

    @Test func endsIdleConnectionsPolitely() throws {
        let running = try Running { $0.idleTimeout = .milliseconds(200) }
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.last?.code == 0)
    }

    @Test func refusesConnectionsAboveTheLimit() throws {
        let running = try Running { $0.maxConnectionsPerLoop = 2 }
        let first = running.connect()
        let second = running.connect()
        #expect(first.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(second.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(running.connect().waitForClose())
        #expect(running.server.counters().connectionsRefused == 1)
    }
}

@Suite struct DrainTests {
    @Test func answersEveryCallItTook() throws {
        let running = try Running { $0.loopCount = 2 }
        let tally = SharedList()
        let address = running.address
        let clients = try (0..<4).map { _ in
            try LoopThread {
                let peer = SocketPeer(address)
                peer.send(handshake())
                tally.append(callUntilGoAway(peer))
            }
        }
        usleep(100_000)
        running.server.shutDown()
        for client in clients { client.join() }
        #expect(running.server.wait() == 0)
        #expect(tally.values == [0, 0, 0, 0], "calls taken by the server but not answered, for each client")
        #expect(running.server.counters().callsOK > 0)
    }

    @Test func drainsAtOnceWhereItWasShutDownBefore() throws {
        var configuration = ServerConfiguration(listeners: [Listener(try ListenAddress("127.0.0.1:0"))])
        configuration.handlesSignals = false
        configuration.loopCount = 2
        let server = Server(configuration, logger: quiet) { _ in echoMethods() }
        server.shutDown()
        _ = try server.start()
        #expect(server.wait() == 0)
    }

    @Test func saysNotServingAndEndsWithoutConnections() throws {
        let running = try Running { $0.announceTimeout = .seconds(3600) }
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.message == [1])
        #expect(running.server.health[""] == .serving)
        running.server.shutDown()
        #expect(running.server.health[""] == .notServing)
        // Between the two GOAWAYs calls are still taken.
        #expect(peer.read { !$0.goAways.isEmpty && !$0.pings.isEmpty })
        #expect(peer.call(3, "/test.Echo/Echo", [2])?.message == [2])
        peer.send(frame(.ping, flags: Flag.acknowledgement, peer.reader.pings[0]))
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.map(\.lastStream) == [0x7FFF_FFFF, 3])
        #expect(running.server.wait() == 0)
    }

    @Test func theLoopThatHearsSignalsEndsLast() async throws {
        let running = try Running {
            $0.loopCount = 2
            $0.drainTimeout = .seconds(60)
        }
        // The kernel chooses the loop; connections of the second have odd numbers.
        var peers: [Int: SocketPeer] = [:]
        while peers.keys.allSatisfy({ $0.isMultiple(of: 2) }) {
            try #require(peers.count < 100)
            let peer = running.connect()
            #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
            peers[try #require(await running.server.connectionIDs().first { peers[$0] == nil })] = peer
        }
        let (id, peer) = try #require(peers.first { !$0.key.isMultiple(of: 2) })
        peer.send(headersFrame(stream: 3, requestFields("/test.Echo/Echo")))
        peers = [:]
        while await running.server.connectionIDs() != [id] { try await Task.sleep(for: .milliseconds(10)) }

        running.server.shutDown()
        try #require(peer.read { !$0.goAways.isEmpty })
        // Were the first loop to end, it would have done so by now.
        try await Task.sleep(for: .milliseconds(300))
        let loops = SharedList()
        await withCheckedContinuation { done in
            running.server.onEachLoop({ loops.append($0) }, completion: { done.resume() })
        }
        #expect(loops.values.sorted() == [0, 1])
        peer.send(dataFrame(stream: 3, framed([1])))
        #expect(peer.waitForClose())
        #expect(running.server.wait() == 0)
    }

    @Test func cutsOffACallThatDoesNotEnd() throws {
        let running = try Running { $0.drainTimeout = .milliseconds(300) }
        let peer = running.connect()
        peer.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        #expect(peer.call(3, "/test.Echo/Echo", [1])?.status == 0)
        running.server.shutDown()
        #expect(running.server.wait() == 1)
    }
}

/// Calls without pause until the second GOAWAY; how many calls up to its last stream were not answered with OK.
func callUntilGoAway(_ peer: SocketPeer) -> Int {
    var stream: UInt32 = 1
    var isAcknowledged = false
    // Room for the answers of any number of calls.
    peer.send(frame(.windowUpdate, bigEndian(1 << 30)))
    while peer.reader.goAways.count < 2 {
        guard peer.send(unaryCall(stream: stream, "/test.Echo/Echo", [1])) else { break }
        let isHere = peer.read { $0.responses[stream]?.ended == true || $0.goAways.count == 2 }
        if let ping = peer.reader.pings.first, !isAcknowledged {
            isAcknowledged = true
            peer.send(frame(.ping, flags: Flag.acknowledgement, ping))
        }
        if !isHere { break }
        stream += 2
    }
    guard let last = peer.reader.goAways.last?.lastStream, last < 0x7FFF_FFFF else { return -1 }
    _ = peer.read { $0.responses[last]?.ended == true }
    return stride(from: UInt32(1), through: last, by: 2).count { peer.reader.responses[$0]?.status != 0 }
}
