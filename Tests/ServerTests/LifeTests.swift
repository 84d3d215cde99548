import FletchEventLoop
import Glibc
import FletchHTTP2
import FletchRPC
import ScriptedPeer
import FletchServer
import Testing

/// The life of connections over real sockets.
@Suite struct LifeTests {
    @Test func pingsASilentPeerAndClosesIt() throws {
        let running = try Running {
            $0.keepalive.time = .milliseconds(200)
            $0.keepalive.timeout = .milliseconds(200)
        }
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(peer.waitForClose())
        #expect(peer.reader.pings == [Array("liveness".utf8)])
    }

    @Test func keepsAPeerThatAnswersItsPings() throws {
        let running = try Running {
            $0.keepalive.time = .milliseconds(200)
            $0.keepalive.timeout = .seconds(60)
        }
        let peer = running.connect()
        for round in 1...2 {
            try #require(peer.read { $0.pings.count == round })
            peer.send(frame(.ping, flags: Flag.acknowledgement, peer.reader.pings[round - 1]))
        }
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(peer.reader.goAways.isEmpty)
    }

    @Test func endsAClientThatPingsTooOften() throws {
        let running = try Running()
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        for _ in 0..<4 { peer.send(pingFrame) }
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.map(\.code) == [11])
        #expect(peer.reader.goAways.first?.debugData == "too_many_pings")
        #expect(peer.reader.goAways.first?.lastStream == 1)
    }

    @Test func forgivesPingsBetweenAnswers() throws {
        let running = try Running()
        let peer = running.connect()
        for call in 0..<50 {
            for _ in 0..<3 { peer.send(pingFrame) }
            #expect(peer.call(UInt32(2 * call + 1), "/test.Echo/Echo", [1])?.status == 0)
        }
        #expect(peer.reader.goAways.isEmpty)
    }

    @Test func endsAnOldConnectionWithoutLosingACall() throws {
        let running = try Running {
            $0.age.limit = .milliseconds(300)
            $0.age.grace = .seconds(60)
        }
        #expect(callUntilGoAway(running.connect()) == 0)
        // Whoever comes back is served.
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.status == 0)
    }

    @Test func cutsOffAnOldConnectionAfterItsGrace() throws {
        let running = try Running {
            $0.age.limit = .milliseconds(100)
            $0.age.grace = .milliseconds(100)
        }
        let peer = running.connect()
        peer.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.first?.lastStream == 0x7FFF_FFFF)
        #expect(peer.reader.responses[1] == nil)
    }

    @Test func servesOnWhileItIsALameDuck() throws {
        let running = try Running { $0.lameDuckDelay = .seconds(3600) }
        let peer = running.connect()
        #expect(running.server.health[""] == .serving)
        running.server.shutDown()
        #expect(running.server.health[""] == .notServing)
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(peer.reader.goAways.isEmpty)
        running.server.shutDown()
        #expect(running.server.wait() == 0)
    }

    @Test func drainsAfterTheLameDuckDelay() throws {
        let running = try Running { $0.lameDuckDelay = .milliseconds(300) }
        let peer = running.connect()
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        running.server.shutDown()
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.map(\.lastStream) == [0x7FFF_FFFF, 1])
        #expect(running.server.wait() == 0)
    }

    @Test func endsALameDuckThatIsToldAgain() throws {
        let running = try Running { $0.lameDuckDelay = .seconds(3600) }
        let peer = running.connect()
        peer.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        #expect(peer.call(3, "/test.Echo/Echo", [1])?.status == 0)
        running.server.shutDown()
        running.server.shutDown()
        #expect(running.server.wait() == 1)
    }

    @Test func doesNotWaitForAPeerThatNeverAnswers() throws {
        let running = try Running {
            $0.announceTimeout = .milliseconds(100)
            $0.lingerTimeout = .milliseconds(100)
            $0.drainTimeout = .seconds(3600)
        }
        let peer = running.connect()
        let silent = SocketPeer(running.address)
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        eventually { running.server.counters().connectionsOpen == 2 }
        running.server.shutDown()
        #expect(running.server.wait() == 0)
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.map(\.lastStream) == [0x7FFF_FFFF, 1])
        #expect(silent.waitForClose())
    }

    @Test func doesNotBlamePeersForALoopThatWasHeld() throws {
        let isHeld = Locked(false)
        let running = try Running {
            $0.prefaceTimeout = .seconds(3)
        } methods: {
            let hold = Method(path: "/test.Echo/Hold") { _ throws(RPCError) in
                isHeld.withLock { $0 = true }
                usleep(4_000_000)
                throw RPCError(.aborted, "held")
            }
            return echoMethods() + [hold]
        }
        let holder = running.connect()
        let late = SocketPeer(running.address)
        eventually { running.server.counters().connectionsOpen == 2 }
        holder.send(unaryCall(stream: 1, "/test.Echo/Hold"))
        eventually { isHeld.withLock { $0 } }
        // In time, but nobody reads it until the handler is done.
        late.send(handshake() + unaryCall(stream: 1, "/test.Echo/Echo", [1]))
        #expect(late.read { $0.responses[1]?.ended == true })
        #expect(late.reader.responses[1]?.status == 0)
        #expect(holder.read { $0.responses[1]?.ended == true })
        #expect(holder.reader.responses[1]?.status == 10)
    }
}
