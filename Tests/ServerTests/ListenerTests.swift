import FletchEventLoop
import Glibc
import Logging
import FletchRPC
import ScriptedPeer
import FletchServer
import TLSPeer
import TestSupport
import Testing

@Suite struct ListenerTests {
    private let directory = TemporaryDirectory()
    private var path: String { "\(directory.path)/server.sock" }
    private var address: String { "unix:\(path)" }

    private var socketExists: Bool { TemporaryDirectory.names(in: directory.path).contains("server.sock") }

    private func refusal() -> String {
        do {
            _ = try Running(address)
        } catch {
            return "\(error)"
        }
        Issue.record("was not refused")
        return ""
    }

    @Test(arguments: [1, 3]) func answersOverAUnixSocket(_ loopCount: Int) throws {
        let running = try Running(address) { $0.loopCount = loopCount }
        let peers = (0..<12).map { _ in running.connect() }
        for peer in peers { #expect(peer.call(1, "/test.Echo/Echo", [1])?.message == [1]) }
        #expect(running.server.counters().callsOK == 12)
        running.server.shutDown()
        #expect(running.server.wait() == 0)
        #expect(!socketExists)
    }

    @Test func servesSeveralAddressesAtOnce() throws {
        let running = try Running {
            $0.loopCount = 2
            $0.listeners.append(Listener(try! ListenAddress(address)))
            $0.listeners.append(Listener(try! ListenAddress("[::1]:0")))
            $0.listeners.append(
                Listener(try! ListenAddress("127.0.0.1:0"), tls: try! TLSContextStore(serverFiles(), logger: quiet)))
        }
        #expect(running.addresses.count == 4)
        for (number, address) in running.addresses.enumerated() {
            let peer = SocketPeer(address, tls: number == 3 ? client() : nil)
            peer.send(handshake())
            #expect(peer.call(1, "/test.Echo/Echo", [1])?.message == [1], "\(address)")
        }
    }

    @Test func replacesTheSocketOfADeadServer() throws {
        let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let code = withUnsafeBytes(of: &name) {
            bind(dead, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        #expect(code == 0 && socketExists)
        close(dead)
        let running = try Running(address)
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func refusesTheSocketOfALivingServer() throws {
        let running = try Running(address)
        #expect(refusal() == "cannot listen on \(address): a running server listens there")
        #expect(running.connect().call(1, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func leavesTheSocketOfAnotherServerThatTookThePlace() throws {
        let first = try Running(address)
        unlink(path)
        let second = try Running(address)
        first.server.shutDown()
        first.server.wait()
        #expect(second.connect().call(1, "/test.Echo/Echo", [1])?.message == [1])
    }

    @Test func refusesAFileThatIsNoSocket() {
        writeBytes([1], to: path)
        #expect(refusal() == "cannot listen on \(address): the file is no socket; choose another path")
        #expect(readBytes(path) == [1])
    }

    @Test func namesADirectoryThatIsMissing() throws {
        let missing = "unix:\(directory.path)/none/server.sock"
        #expect { _ = try Running(missing) } throws: {
            "\($0)" == "cannot listen on \(missing): no such file or directory"
        }
    }

    @Test func leavesNothingWhereOneOfTheAddressesCannotBeHad() throws {
        #expect {
            _ = try Running(address) {
                $0.loopCount = 2
                // Reserved for documentation: no machine has it.
                $0.listeners.append(Listener(try! ListenAddress("192.0.2.1:0")))
            }
        } throws: { "\($0)".hasPrefix("cannot listen on 192.0.2.1:0: ") }
        #expect(!socketExists)
    }
}
