import FletchClient
import FletchRPC
import FletchWire
import Quirks
import ScriptedPeer
import Testing

/// Channels against servers that do what no good server does.
@Suite(.timeLimit(.minutes(5))) struct ScriptedCallTests {
    private static let window: UInt32 = 1 << 20

    private func get(_ channel: Channel) async throws(RPCError) -> String {
        try await QCallsClient(channel).get(QNames(productID: "x"), options: .patient).aString
    }

    private static let answer = QScalars(aString: "answer").encoded()

    @Test func aRefusedCallIsTriedOnceMore() async throws {
        let server = ScriptedServer { _, connection in
            connection.grant(window: Self.window)
            connection.read { $0.responses[1]?.ended == true }
            connection.send(frame(.reset, stream: 1, bigEndian(7)))
            connection.read { $0.responses[3]?.ended == true }
            connection.answer(3, Self.answer)
            for stream: UInt32 in [5, 7] {
                connection.read { $0.responses[stream]?.ended == true }
                connection.send(frame(.reset, stream: stream, bigEndian(7)))
            }
            connection.read { _ in false }
        }
        let channel = try Channel(to: server.target)
        #expect(try await get(channel) == "answer")
        let error = await #expect(throws: RPCError.self) { try await get(channel) }
        #expect(error?.code == .unavailable && error?.message.contains("REFUSED_STREAM") == true)
    }

    @Test func aCallThatAGoAwayLeavesOutGoesToAnotherConnection() async throws {
        let server = ScriptedServer(connections: 2) { number, connection in
            connection.grant(window: Self.window)
            connection.read { $0.responses[1]?.ended == true }
            if number == 0 {
                connection.send(frame(.goAway, bigEndian(0) + bigEndian(0)))
            } else {
                connection.answer(1, Self.answer)
            }
            connection.read { _ in false }
        }
        let channel = try Channel(to: server.target)
        #expect(try await get(channel) == "answer")
        await channel.close()
    }

    @Test func aCallThatTheServerMayHaveSeenIsNotTriedAgain() async throws {
        let server = ScriptedServer(connections: 2) { number, connection in
            connection.grant(window: Self.window)
            connection.read { $0.responses[1]?.ended == true }
            if number == 1 { connection.answer(1, Self.answer) }
            if number == 1 { connection.read { _ in false } }
        }
        let channel = try Channel(to: server.target)
        let error = await #expect(throws: RPCError.self) { try await get(channel) }
        #expect(error?.code == .unavailable && error?.message.contains("was lost") == true)
        #expect(try await get(channel) == "answer")
        await channel.close()
    }

    @Test func aServerWithoutHTTP2IsUnavailable() async throws {
        let server = ScriptedServer { _, connection in
            connection.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
            connection.read { _ in false }
        }
        let error = await #expect(throws: RPCError.self) { try await get(try Channel(to: server.target)) }
        #expect(error?.code == .unavailable && error?.message.contains("does not speak HTTP/2") == true)
    }

    @Test func aSilentServerIsGivenUp() async throws {
        let server = ScriptedServer { _, connection in
            connection.grant(window: Self.window)
            connection.read { _ in false }
        }
        var configuration = ChannelConfiguration()
        configuration.keepalive = .init(time: .milliseconds(50), timeout: .milliseconds(50))
        let channel = try Channel(to: server.target, configuration)
        let error = await #expect(throws: RPCError.self) { try await get(channel) }
        #expect(error?.code == .unavailable && error?.message.contains("does not answer PINGs") == true)
    }

    @Test func callsWaitForTheirTurnWhereTheServerTakesFew() async throws {
        let server = ScriptedServer { _, connection in
            connection.send(frame(.settings, [0, 3] + bigEndian(1)))
            connection.grant(window: Self.window)
            connection.read { $0.responses[1]?.ended == true }
            for number in 0..<100 {
                let stream = UInt32(2 * number + 1)
                connection.read { $0.responses[stream]?.ended == true }
                connection.answer(stream, Self.answer)
            }
            connection.read { _ in false }
        }
        let channel = try Channel(to: server.target)
        #expect(try await get(channel) == "answer")
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 1..<100 { group.addTask { try await get(channel) } }
            for try await answer in group { #expect(answer == "answer") }
        }
        await channel.close()
    }

    @Test func givesNoCallTheEndOfAnEarlierOne() async throws {
        let givenUp = 4
        let server = ScriptedServer { _, connection in
            connection.grant(window: 1 << 30)
            // However many of the calls given up had come so far.
            var last: UInt32 = 0
            connection.read { reader in
                last = reader.responses.first { $0.value.ended && $0.value.message == [1] }?.key ?? 0
                return last > 0
            }
            for stream in stride(from: 1, to: last, by: 2) { connection.answer(stream, [0]) }
            connection.answer(last, [1])
            connection.read { _ in false }
        }
        let channel = try Channel(to: server.target)
        // More than the systems keep for a server that does not read.
        let large = [UInt8](repeating: 7, count: 1 << 20)
        func call(_ message: [UInt8], _ timeout: Duration) async throws(RPCError) -> [UInt8]? {
            try await channel.begin(
                CallRequest(
                    path: "/test.Sink/Take", message: message, hasSingleResponse: true,
                    options: CallOptions(timeout: timeout))
            ).next()
        }
        for _ in 0..<givenUp {
            let error = await #expect(throws: RPCError.self) { try await call(large, .milliseconds(100)) }
            #expect(error?.code == .deadlineExceeded)
        }
        #expect(try await call([1], .seconds(60)) == [1])
    }

    @Test func earlyAnswersEndWriters() async throws {
        let server = ScriptedServer { _, connection in
            connection.grant(window: 1 << 24)
            for stream: UInt32 in [1, 3] {
                connection.read { ($0.responses[stream]?.data.count ?? 0) > 10_000 }
                if stream == 1 {
                    connection.answer(1, QNames(productID: "enough").encoded())
                } else {
                    connection.send(
                        headersFrame(
                            stream: 3,
                            [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "9")],
                            end: true))
                }
            }
            connection.read { _ in false }
        }
        let client = QCallsClient(try Channel(to: server.target))
        func record() async throws -> QNames {
            try await client.record(options: .patient) { requests in
                while true { try await requests.write(QScalars(aString: String(repeating: "x", count: 5000))) }
            }
        }
        #expect(try await record().productID == "enough")
        let error = await #expect(throws: RPCError.self) { try await record() }
        #expect(error?.code == .failedPrecondition)
    }
}
