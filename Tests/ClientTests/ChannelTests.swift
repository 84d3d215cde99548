import Glibc
import FletchRPC
import ScriptedPeer
import Testing

@testable import FletchClient

@Suite struct ChannelTests {
    private static let window: UInt32 = 1 << 30

    @Test func givesNoCallTheEndOfAnEarlierOne() throws {
        let givenUp = 4
        let server = ScriptedServer { connection in
            connection.grant(window: Self.window)
            usleep(1_000_000)
            let last = UInt32(2 * givenUp + 1)
            connection.read { $0.responses[last]?.ended == true }
            for stream in stride(from: 1, through: last, by: 2) { connection.answer(stream, [UInt8(stream)]) }
            connection.read { _ in false }
        }
        let channel = try Channel(target: server.target)
        // More than the systems keep for a server that does not read: resets of calls given up wait behind it.
        let large = [UInt8](repeating: 7, count: 16 << 20)
        for _ in 0..<givenUp {
            #expect {
                try channel.unary(
                    path: "/test.Sink/Take", request: large, options: CallOptions(timeout: .milliseconds(200)))
            } throws: {
                ($0 as? RPCError)?.code == .deadlineExceeded
            }
        }
        let options = CallOptions(timeout: .seconds(20))
        #expect(try channel.unary(path: "/test.Sink/Take", request: [1], options: options) == [UInt8(2 * givenUp + 1)])
    }
}
