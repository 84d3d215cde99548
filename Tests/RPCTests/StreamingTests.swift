import FletchHTTP2
import Quirks
import FletchRPC
import ScriptedPeer
import TestSupport
import Testing
import FletchWire

private typealias Number = Quirks_Imported_Colour

private func number(_ value: UInt32) -> [UInt8] {
    framed(Number(rgb: value).encoded())
}

/// The numbers of a response's messages.
private func numbers(_ data: [UInt8]) throws -> [UInt32] {
    var numbers: [UInt32] = []
    var rest = data[...]
    while !rest.isEmpty {
        let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
        numbers.append(try Number(decoding: Array(rest.dropFirst(5).prefix(length))).rgb)
        rest = rest.dropFirst(5 + length)
    }
    return numbers
}

/// What handlers did, seen by the test; all on one thread.
private final class Notes: @unchecked Sendable {
    var lines: [String] = []
}

private func methods(_ notes: Notes) -> [Method] {
    [
        Method(path: "/test.Stream/Double", unary: { (request: Number, _) in Number(rgb: request.rgb * 2) }),
        Method(
            path: "/test.Stream/Count",
            serverStreaming: { (request: Number, responses: ResponseWriter<Number>, call) in
                try call.addInitialMetadata("x-first", "1")
                try call.addTrailingMetadata("x-last", "2")
                for value in 0..<request.rgb {
                    try await responses.write(Number(rgb: value))
                    notes.lines.append("wrote \(value)")
                }
            }),
        Method(
            path: "/test.Stream/Sum",
            clientStreaming: { (requests: RequestStream<Number>, _) in
                var sum: UInt32 = 0
                for try await request in requests { sum += request.rgb }
                return Number(rgb: sum)
            }),
        Method(
            path: "/test.Stream/Echo",
            bidirectional: { (requests: RequestStream<Number>, responses: ResponseWriter<Number>, _) in
                do {
                    for try await request in requests { try await responses.write(request) }
                    notes.lines.append("ended")
                } catch let error as RPCError {
                    notes.lines.append("\(error.code.name) cancelled=\(Task.isCancelled)")
                    throw error
                }
            }),
        Method(
            path: "/test.Stream/First",
            bidirectional: { (requests: RequestStream<Number>, responses: ResponseWriter<Number>, _) in
                for try await request in requests {
                    try await responses.write(request)
                    throw RPCError(.aborted, "one is enough")
                }
            }),
        Method(
            path: "/test.Stream/Unknown", unary: { (_: Number, _) -> Number in throw WireError(.malformed, "secret") }),
        Method(path: "/test.Stream/Later") { call throws(RPCError) in
            call.respondLater { call in
                await Task.yield()
                let request = try call.decode(Number.View.self, limits: DecodeLimits())
                let response = Number.Builder(in: try call.arena())
                response.rgb = request.rgb + 1
                try call.respond(response)
            }
        },
    ]
}

@Suite struct StreamingTests {
    private let notes: Notes
    private let harness: Harness

    init() {
        let notes = Notes()
        self.notes = notes
        harness = Harness(methods: methods(notes))
    }

    private func begin(_ method: String, stream: UInt32 = 1, _ changes: [(String, String?)] = []) {
        harness.send(headersFrame(stream: stream, requestFields("/test.Stream/\(method)", replacing: changes)))
    }

    @Test func oneRequestOneResponse() throws {
        begin("Double")
        harness.send(dataFrame(stream: 1, number(21)))
        #expect(try numbers(harness.response().data) == [42])
        #expect(harness.response().status == 0 && harness.response().ended)
        #expect(harness.dispatcher.runningHandlers == 0)
    }

    @Test func anInlineHandlerMayAnswerLater() throws {
        begin("Later")
        harness.send(dataFrame(stream: 1, number(21)))
        #expect(try numbers(harness.response().data) == [22])
        #expect(harness.response().status == 0)
    }

    @Test func metadataOfAnAnswerThatComesLaterIsThatAnswers() throws {
        let methods = [
            Method(path: "/test.Stream/Later") { call throws(RPCError) in
                try call.addInitialMetadata("x-first", "1")
                try call.addTrailingMetadata("x-last", "2")
                call.respondLater { call in
                    try call.addTrailingMetadata("x-last", "3")
                    let response = Number.Builder(in: try call.arena())
                    response.rgb = 1
                    try call.respond(response)
                }
            },
            Method(path: "/test.Stream/Now") { call throws(RPCError) in
                let response = Number.Builder(in: call.arena)
                response.rgb = 2
                try call.respond(response)
            },
        ]
        let harness = Harness(methods: methods)
        harness.send(unaryCall(stream: 1, "/test.Stream/Later"))
        harness.send(unaryCall(stream: 3, "/test.Stream/Now"))
        let later = harness.response(1)
        #expect(try numbers(later.data) == [1])
        #expect(later["x-first"] == "1" && later.fields.filter { $0.name == "x-last" }.map(\.value) == ["2", "3"])
        #expect(try numbers(harness.response(3).data) == [2])
        #expect(harness.response(3)["x-first"] == nil && harness.response(3)["x-last"] == nil)
    }

    @Test(arguments: [0, 1, 3, 1000]) func oneRequestManyResponses(_ count: UInt32) throws {
        begin("Count")
        harness.send(dataFrame(stream: 1, number(count)))
        #expect(try numbers(harness.response().data) == Array(0..<count))
        #expect(harness.response().status == 0 && harness.response().ended)
        #expect(harness.response()["x-first"] == "1" && harness.response()["x-last"] == "2")
    }

    @Test(arguments: [0, 1, 3, 5000]) func manyRequestsOneResponse(_ count: UInt32) throws {
        begin("Sum")
        for value in 0..<count { harness.send(dataFrame(stream: 1, number(value), end: false)) }
        harness.send(dataFrame(stream: 1, []))
        #expect(try numbers(harness.response().data) == [(0..<count).reduce(0, +)])
        #expect(harness.response().status == 0)
    }

    @Test func requestsInOneFrameAndInPieces() throws {
        begin("Echo")
        let bytes = number(1) + number(300) + number(70_000)
        harness.send(dataFrame(stream: 1, bytes, end: false))
        for byte in bytes { harness.send(dataFrame(stream: 1, [byte], end: false)) }
        #expect(try numbers(harness.response().data) == [1, 300, 70_000, 1, 300, 70_000])
        #expect(!harness.response().ended)
        harness.send(dataFrame(stream: 1, []))
        #expect(harness.response().status == 0 && harness.response().ended)
        #expect(notes.lines == ["ended"])
    }

    @Test func eachResponseLeavesBeforeTheNextRequest() throws {
        begin("Echo")
        for value in UInt32(1)...3 {
            harness.send(dataFrame(stream: 1, number(value), end: false))
            #expect(try numbers(harness.response().data) == Array(1...value))
        }
    }

    @Test func anAnswerBeforeTheRequestsEndResetsTheRest() throws {
        begin("First")
        harness.send(dataFrame(stream: 1, number(1), end: false))
        #expect(try numbers(harness.response().data) == [1])
        #expect(harness.response().status == Int(StatusCode.aborted.rawValue))
        #expect(harness.response()["grpc-message"] == "one is enough")
        #expect(harness.response().resetCode == 0)
    }

    @Test func theServerHearsOfErrorsThatCallersAreNotTold() {
        var failures: [String] = []
        harness.dispatcher.onFailure = { failures.append("\($0): \($1)") }
        for (stream, method) in [(UInt32(1), "Unknown"), (3, "First"), (5, "Double")] {
            begin(method, stream: stream)
            harness.send(dataFrame(stream: stream, number(1)))
        }
        #expect(
            failures.count == 1 && failures[0].hasPrefix("/test.Stream/Unknown: ") && failures[0].contains("secret"))
    }

    @Test func unknownErrorsKeepTheirText() {
        begin("Unknown")
        harness.send(dataFrame(stream: 1, number(1)))
        #expect(harness.response().status == Int(StatusCode.unknown.rawValue))
        #expect(harness.response()["grpc-message"]?.contains("secret") == false)
    }

    // MARK: The end

    @Test func aResetCancelsTheHandler() {
        begin("Echo")
        harness.send(dataFrame(stream: 1, number(1), end: false))
        harness.send(frame(.reset, stream: 1, bigEndian(8)))
        #expect(notes.lines == ["CANCELLED cancelled=true"])
        #expect(harness.dispatcher.counters.callsByStatus[1] == 1)
        #expect(harness.dispatcher.runningHandlers == 0 && harness.dispatcher.bytesInFlight == 0)
    }

    @Test func aClosedConnectionCancelsTheHandler() {
        begin("Echo")
        harness.connection.close()
        harness.runTasks()
        #expect(notes.lines == ["CANCELLED cancelled=true"])
        #expect(harness.dispatcher.runningHandlers == 0)
    }

    @Test func aDeadlineCancelsTheHandler() throws {
        begin("Echo", [("grpc-timeout", "10m")])
        harness.send(dataFrame(stream: 1, number(1), end: false))
        harness.clock.now += 11_000_000
        #expect(harness.connection.nextExpiry == harness.clock.now - 1_000_000)
        harness.connection.expireCalls()
        harness.runTasks()
        #expect(harness.response().status == Int(StatusCode.deadlineExceeded.rawValue))
        #expect(harness.response().resetCode == 8)
        #expect(notes.lines == ["DEADLINE_EXCEEDED cancelled=true"])
        #expect(harness.dispatcher.counters.callsByStatus[4] == 1)
        #expect(harness.connection.nextExpiry == nil)
    }

    @Test func aStreamWithoutDeadlineIsNotLate() {
        begin("Echo")
        #expect(harness.connection.nextExpiry == nil)
    }

    @Test(arguments: [
        ("flag 2", framed([], flag: 2), StatusCode.internal),
        ("too long", framed([], length: 5 << 20), .resourceExhausted),
        ("not a message", framed([0xFF]), .internal),
    ]) func aBadMessageEndsTheCall(_ name: String, _ bytes: [UInt8], _ status: StatusCode) {
        begin("Echo")
        harness.send(dataFrame(stream: 1, number(7), end: false))
        harness.send(dataFrame(stream: 1, bytes, end: false))
        #expect(harness.response().status == Int(status.rawValue))
        #expect(harness.response().resetCode == 0)
        #expect(harness.dispatcher.runningHandlers == 0)
    }

    @Test func aRequestThatEndsInsideAMessageIsRefused() {
        begin("Sum")
        harness.send(dataFrame(stream: 1, framed([1], length: 2)))
        #expect(harness.response().status == Int(StatusCode.internal.rawValue))
        #expect(harness.dispatcher.runningHandlers == 0)
    }

    @Test func twoMessagesOfASingleRequestAreRefused() {
        begin("Count")
        harness.send(dataFrame(stream: 1, number(1) + number(2)))
        #expect(harness.response().status == Int(StatusCode.unimplemented.rawValue))
    }

    // MARK: Back-pressure

    @Test func aPeerThatDoesNotReadStopsTheWriter() throws {
        // The window lets 65,535 bytes through, and as many again may wait: then the handler does.
        begin("Count")
        harness.send(dataFrame(stream: 1, number(1_000_000)))
        let written = notes.lines.count
        #expect(written > 10_000 && written < 20_000)
        #expect(harness.dispatcher.bytesInFlight <= 256 << 10)
        let read = try numbers(completeMessages())
        #expect(read == Array(0..<UInt32(read.count)))

        harness.send(frame(.windowUpdate, stream: 1, bigEndian(1 << 20)) + frame(.windowUpdate, bigEndian(1 << 20)))
        #expect(notes.lines.count > written + 50_000)
        harness.send(frame(.reset, stream: 1, bigEndian(8)))
        #expect(harness.dispatcher.bytesInFlight == 0 && harness.dispatcher.runningHandlers == 0)
    }

    /// The response's data up to the last complete message.
    private func completeMessages() -> [UInt8] {
        let data = harness.response().data
        var end = 0
        while end + 5 <= data.count {
            let length = data[(end + 1)..<(end + 5)].reduce(0) { $0 << 8 | Int($1) }
            guard end + 5 + length <= data.count else { break }
            end += 5 + length
        }
        return Array(data[..<end])
    }

    @Test func aDeadlineOfAPeerThatDoesNotReadResetsTheStream() {
        begin("Count", [("grpc-timeout", "10m")])
        harness.send(dataFrame(stream: 1, number(1_000_000)))
        harness.clock.now += 11_000_000
        harness.connection.expireCalls()
        harness.runTasks()
        #expect(harness.response().resetCode == 8 && !harness.response().ended)
        #expect(harness.dispatcher.bytesInFlight == 0 && harness.dispatcher.runningHandlers == 0)
    }

    /// Fills one buffer and no more, in the middle of a response: the next DATA frame has begun and waits for room.
    private func harnessWithAFrameUnderWay() throws -> Harness {
        var limits = CallLimits()
        limits.maxQueuedResponseBytes = 1 << 20
        let harness = Harness(limits: limits, methods: methods(notes))
        harness.send(frame(.settings, [0, 4] + bigEndian(1 << 24)) + frame(.windowUpdate, bigEndian(1 << 24)))
        harness.receive(
            headersFrame(stream: 1, requestFields("/test.Stream/Count", replacing: [("grpc-timeout", "10m")]))
                + dataFrame(stream: 1, number(200_000)))
        harness.executor.runAll()
        harness.dispatcher.output.clear()
        #expect(try !harness.connection.fill(harness.dispatcher.output))
        harness.reader.read(harness.dispatcher.output.bytes)
        return harness
    }

    @Test func aDeadlineWhileAFrameIsUnderWay() throws {
        let harness = try harnessWithAFrameUnderWay()
        let sent = harness.response().data.count
        harness.clock.now += 11_000_000
        harness.connection.expireCalls()
        harness.runTasks()
        #expect(harness.response().status == Int(StatusCode.deadlineExceeded.rawValue) && harness.response().ended)
        // That frame is sent to its end, of what is behind it nothing.
        #expect(harness.response().data.count - sent == 16 << 10)
        #expect(harness.dispatcher.bytesInFlight == 0 && harness.dispatcher.runningHandlers == 0)
    }

    @Test func aResetWhileAFrameIsUnderWay() throws {
        let harness = try harnessWithAFrameUnderWay()
        let sent = harness.response().data.count
        harness.send(frame(.reset, stream: 1, bigEndian(8)))
        #expect(harness.response().data.count == sent && harness.error == nil)
        #expect(harness.dispatcher.bytesInFlight == 0 && harness.dispatcher.runningHandlers == 0)
    }

    @Test func aMessageLargerThanTheWindowArrivesBehindAnother() throws {
        begin("Sum")
        // Unknown bytes make a message of any size.
        let large = framed([0x7A] + varint(300_000) + [UInt8](repeating: 0, count: 300_000))
        let bytes = number(7) + large + number(5)
        var sent = 0
        while sent < bytes.count {
            let size = min(16_000, 256 * 1024 + harness.reader.windowGranted - sent, bytes.count - sent)
            guard size > 0 else { break }
            harness.send(dataFrame(stream: 1, Array(bytes[sent..<sent + size]), end: sent + size == bytes.count))
            sent += size
        }
        #expect(sent == bytes.count)
        #expect(try numbers(harness.response().data) == [12])
    }

    private func varint(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
    }

    @Test func requestsThatNobodyTakesHoldThePeerBack() {
        // While the handler waits for room to write, what the peer sends stays in its window.
        harness.send(frame(.settings, [0, 4] + bigEndian(0)))
        begin("Echo")
        let large = Number(rgb: 1).encoded()
        let before = harness.reader.windowGranted
        var sent = 0
        while sent < 200 << 10 {
            harness.send(dataFrame(stream: 1, [UInt8](repeatElement(framed(large), count: 1000).joined()), end: false))
            sent += 1000 * (large.count + 5)
        }
        #expect(harness.reader.windowGranted == before)
        harness.send(frame(.windowUpdate, stream: 1, bigEndian(1 << 20)))
        #expect(harness.reader.windowGranted > before)
    }
}
