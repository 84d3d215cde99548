import FletchEventLoop
import Glibc
import Logging
import FletchRPC
import ScriptedPeer
import FletchServer
import FletchTLS
import TLSPeer
import TestSupport
import Testing

@Suite struct EncryptedConnectionTests {
    @Test(arguments: [12, 13]) func answers(_ version: Int) throws {
        let running = try Running(tls: serverFiles()) { $0.loopCount = 2 }
        for _ in 0..<4 {
            let peer = SocketPeer(running.address, tls: client { $0.version = version })
            peer.send(handshake())
            #expect(peer.call(1, "/test.Echo/Echo", [1, 2, 3])?.message == [1, 2, 3])
            #expect(peer.call(3, "/test.Echo/Echo", [4])?.message == [4])
        }
        #expect(running.server.counters().callsOK == 8)
    }

    @Test func takesABytewiseHandshakeAndWhatFollowsAtOnce() throws {
        let running = try Running(tls: serverFiles())
        let tls = client()
        let peer = SocketPeer(running.address)
        #expect(!tls.handshake())
        for byte in tls.takeOutput() { peer.sendAsIs([byte]) }
        while !tls.handshake() { tls.receive(try #require(peer.receive())) }
        // The end of the handshake, the preface and a call leave in one piece.
        tls.write(handshake() + unaryCall(stream: 1, "/test.Echo/Echo", [5]))
        peer.sendAsIs(tls.takeOutput())
        let reader = PeerReader()
        while reader.responses[1]?.ended != true {
            tls.receive(try #require(peer.receive()))
            reader.read(tls.read()[...])
        }
        #expect(reader.responses[1]?.message == [5])
    }

    @Test func tellsAPeerWhyItIsRefused() throws {
        let running = try Running(tls: serverFiles(clientAuthorities: "ca"))
        let withoutALPN = client { $0.protocols = [] }
        #expect(SocketPeer(running.address, tls: withoutALPN).waitForClose())
        #expect(withoutALPN.error == "tlsv1 alert no application protocol")
        let stranger = client()
        let peer = SocketPeer(running.address, tls: stranger)
        _ = peer.read { _ in false }
        #expect(stranger.error == "tlsv13 alert certificate required")
        // Plaintext HTTP/2 is not TLS.
        let plain = SocketPeer(running.address)
        plain.sendAsIs(handshake())
        #expect(plain.waitForClose())
        eventually { running.server.counters().connectionsOpen == 0 }
    }

    @Test func closesHandshakesThatNeverEnd() throws {
        let running = try Running(tls: serverFiles()) { $0.handshakeTimeout = .milliseconds(200) }
        let silent = SocketPeer(running.address)
        let dribbling = SocketPeer(running.address)
        let tls = client()
        _ = tls.handshake()
        dribbling.sendAsIs(Array(tls.takeOutput().dropLast()))
        #expect(silent.waitForClose())
        #expect(dribbling.waitForClose())
    }

    @Test func closesConnectionsThatNeverBegin() throws {
        let running = try Running(tls: serverFiles()) { $0.prefaceTimeout = .milliseconds(200) }
        #expect(SocketPeer(running.address, tls: client()).waitForClose())
    }

    @Test func countsHandshakesAmongTheConnections() throws {
        let running = try Running(tls: serverFiles()) { $0.maxConnectionsPerLoop = 1 }
        let silent = SocketPeer(running.address)
        eventually { running.server.counters().connectionsOpen == 1 }
        #expect(SocketPeer(running.address).waitForClose())
        #expect(running.server.counters().connectionsRefused == 1)
        _ = silent
    }

    @Test func closesOnDataThatWasTamperedWith() throws {
        let running = try Running(tls: serverFiles())
        let tls = client()
        let peer = SocketPeer(running.address, tls: tls)
        peer.send(handshake())
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.message == [1])
        peer.sendAsIs([23, 3, 3, 0, 32] + [UInt8](repeating: 7, count: 32))
        #expect(peer.waitForClose())
        #expect(tls.error == "sslv3 alert bad record mac")
    }

    @Test func answersAPeerThatThenCloses() throws {
        let running = try Running(tls: serverFiles())
        let tls = client()
        let peer = SocketPeer(running.address, tls: tls)
        tls.write(handshake() + unaryCall(stream: 1, "/test.Echo/Echo", [1]))
        tls.close()
        peer.sendAsIs(tls.takeOutput())
        #expect(peer.read { $0.responses[1]?.ended == true })
        #expect(peer.waitForClose())
    }

    @Test func saysCloseNotifyAtTheEnd() throws {
        let running = try Running(tls: serverFiles()) { $0.idleTimeout = .milliseconds(200) }
        let tls = client()
        let peer = SocketPeer(running.address, tls: tls)
        peer.send(handshake())
        #expect(peer.call(1, "/test.Echo/Echo", [1])?.status == 0)
        #expect(peer.waitForClose())
        #expect(peer.reader.goAways.last?.code == 0)
        #expect(tls.serverHasClosed)
    }

    @Test func drainsWithHandshakesUnderWay() throws {
        let running = try Running(tls: serverFiles()) { $0.handshakeTimeout = .seconds(4) }
        let silent = SocketPeer(running.address)
        let peer = SocketPeer(running.address)
        let tls = client()
        _ = tls.handshake()
        peer.sendAsIs(tls.takeOutput())
        eventually { running.server.counters().connectionsOpen == 2 }
        running.server.shutDown()
        while !tls.handshake() { tls.receive(try #require(peer.receive())) }
        tls.write(handshake() + unaryCall(stream: 1, "/test.Echo/Echo", [1]))
        peer.sendAsIs(tls.takeOutput())
        let reader = PeerReader()
        while reader.responses[1]?.ended != true || reader.goAways.isEmpty {
            tls.receive(try #require(peer.receive()))
            reader.read(tls.read()[...])
        }
        #expect(reader.responses[1]?.message == [1])
        #expect(silent.waitForClose())
        #expect(running.server.wait() == 0)
    }
}

@Suite struct TLSContextStoreTests {
    private let directory = TemporaryDirectory()
    private let certificates: TestCertificates

    init() {
        certificates = TestCertificates(in: directory.path)
    }

    private func running(_ store: TLSContextStore) throws -> Running {
        try Running { $0.listeners[0].tls = store }
    }

    private func connect(_ running: Running) -> (peer: SocketPeer, serial: [UInt8]) {
        let tls = TLSClient(TLSClient.Options(authority: certificates.certificate("ca")))
        let peer = SocketPeer(running.address, tls: tls)
        peer.send(handshake())
        return (peer, tls.serverSerial)
    }

    private func files() -> TLSFiles {
        TLSFiles(certificateChain: certificates.certificate("server"), privateKey: certificates.key("server"))
    }

    @Test func takesNewFilesAndRefusesBadOnes() throws {
        let store = try TLSContextStore(files(), logger: quiet)
        let running = try running(store)
        let first = connect(running)
        certificates.sign("server", subject: "/CN=localhost", names: "DNS:localhost")
        store.reload()
        let second = connect(running)
        #expect(second.serial != first.serial)
        writeBytes(readBytes(certificates.key("client")), to: certificates.key("server"))
        store.reload()
        let third = connect(running)
        #expect(third.serial == second.serial)
        for peer in [first.peer, second.peer, third.peer] {
            #expect(peer.call(1, "/test.Echo/Echo", [1])?.message == [1])
        }
    }

    @Test func followsTheFiles() throws {
        let store = try TLSContextStore(files(), logger: quiet)
        store.follow()
        let running = try running(store)
        let first = connect(running).serial
        certificates.sign("server", subject: "/CN=localhost", names: "DNS:localhost")
        eventually { connect(running).serial != first }
    }
}
