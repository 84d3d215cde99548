import FletchHTTP2
import FletchRPC
import FletchRichErrors
import FletchSchema
import ScriptedPeer
import Testing

/// What a call hears of what a scripted server sends, without sockets.
private final class Recorder: ResponseReceiver {
    var head: MetadataList?
    var messages: [[UInt8]] = []
    var sentBytes = 0
    var ends: [CallEnd] = []
    var givesWindowBack = true

    var error: RPCError? { ends.first?.error }

    func received(head: MetadataList) { self.head = head }

    func received(_ messages: [ReceivedMessage], byteCount: Int) -> Int {
        self.messages += messages.map(\.bytes)
        return givesWindowBack ? byteCount : 0
    }

    func sent(byteCount: Int) { sentBytes += byteCount }

    func ended(_ end: CallEnd) { ends.append(end) }
}

/// A client session and a peer that sends it what it likes.
private final class Conversation {
    let session: ClientSession
    let reader = PeerReader()
    private let output = OutputBuffer()
    private var prefaceLeft = clientPreface.count

    init(limits: ClientLimits = ClientLimits()) throws { session = try ClientSession(limits: limits) }

    deinit { session.close(reason: "the test is over") }

    /// Begins a call with one small request.
    func call(
        isUnary: Bool = true, limit: Int = 1000, request: [UInt8] = [1], isWhole: Bool = true
    ) throws -> (Recorder, ClientExchange) {
        let recorder = Recorder()
        let exchange = ClientExchange(
            session: session, maxMessageBytes: limit, hasSingleResponse: isUnary, receiver: recorder)
        let head = requestHead(
            path: "/a/b", authority: "localhost", scheme: "http", userAgent: "test", timeout: .seconds(1),
            compression: nil, metadata: ["x": "y"])
        try #require(session.open(exchange, head: head))
        session.send(framedRequest(request, compressor: nil), on: exchange)
        if isWhole { session.endRequest(of: exchange) }
        try flush()
        return (recorder, exchange)
    }

    func receive(_ bytes: [UInt8], now: UInt64 = 0) throws(HTTP2Error) {
        do throws(HTTP2Error) {
            try bytes.withUnsafeBufferPointer { (bytes) throws(HTTP2Error) in
                try session.receive(UnsafeRawBufferPointer(bytes), now: now)
            }
        } catch {
            try flush()
            throw error
        }
        try flush()
    }

    func flush() throws(HTTP2Error) {
        var isComplete = false
        while !isComplete {
            output.clear()
            isComplete = try session.fill(output)
            let skipped = min(prefaceLeft, output.bytes.count)
            prefaceLeft -= skipped
            reader.read(output.bytes.dropFirst(skipped))
        }
    }
}

private let head = headersFrame(stream: 1, [(":status", "200"), ("content-type", "application/grpc"), ("a", "b")])
private let ok = headersFrame(stream: 1, [("grpc-status", "0"), ("c", "d")], end: true)

private func data(_ bytes: [UInt8], end: Bool = false) -> [UInt8] { dataFrame(stream: 1, bytes, end: end) }

private func trailersOnly(_ fields: [(String, String)]) -> [UInt8] {
    headersFrame(stream: 1, [(":status", "200"), ("content-type", "application/grpc")] + fields, end: true)
}

@Suite struct ExchangeTests {
    /// The end of a unary call that is answered by `frames`.
    private func outcome(_ frames: [UInt8], isUnary: Bool = true) throws -> Recorder {
        let conversation = try Conversation()
        let (recorder, _) = try conversation.call(isUnary: isUnary)
        try conversation.receive(frame(.settings) + frames)
        #expect(recorder.ends.count <= 1)
        return recorder
    }

    @Test func aRequestIsWhatServersExpect() throws {
        let conversation = try Conversation()
        _ = try conversation.call()
        let request = try #require(conversation.reader.responses[1])
        #expect(request[":method"] == "POST" && request[":path"] == "/a/b" && request[":scheme"] == "http")
        #expect(request[":authority"] == "localhost" && request["te"] == "trailers" && request["x"] == "y")
        #expect(request["content-type"] == "application/grpc" && request["grpc-timeout"] == "1000000u")
        #expect(request["grpc-accept-encoding"] == "identity,gzip,deflate,zstd" && request["grpc-encoding"] == nil)
        #expect(request.data == [0, 0, 0, 0, 1, 1] && request.ended)
    }

    @Test func anAnswerIsItsMessage() throws {
        let recorder = try outcome(head + data(framed([7, 8])) + ok)
        #expect(recorder.messages == [[7, 8]] && recorder.ends.count == 1 && recorder.error == nil)
        #expect(recorder.head?["a"] == "b" && recorder.ends[0].trailers?["c"] == "d")
    }

    @Test func interimResponsesArePassedOver() throws {
        let interim = headersFrame(stream: 1, [(":status", "103"), ("link", "x")])
        let recorder = try outcome(interim + interim + head + data(framed([7])) + ok)
        #expect(recorder.messages == [[7]] && recorder.error == nil && recorder.head?["link"] == nil)
    }

    @Test func aStatusIsTheServers() throws {
        let fields = [("grpc-status", "5"), ("grpc-message", " no%20such "), ("x", "y")]
        for frames in [trailersOnly(fields), head + headersFrame(stream: 1, fields, end: true)] {
            let recorder = try outcome(frames)
            // RFC 9110, 5.5: spaces around a value are no part of it.
            #expect(recorder.error == RPCError(.notFound, "no such") && recorder.ends[0].trailers?["x"] == "y")
        }
    }

    @Test func aStatusHasItsDetails() throws {
        // google.rpc.Status with code 3 and an ErrorInfo with the reason EMPTY.
        let status = "CAMaNwoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkVycm9ySW5mbxILCgVFTVBUWRICZC4"
        let recorder = try outcome(
            trailersOnly([
                ("grpc-status", "3"), ("grpc-status-details-bin", status), ("grpc-retry-pushback-ms", "250"),
            ]))
        #expect(recorder.error?.detail(ErrorInfo.self) == ErrorInfo(reason: "EMPTY", domain: "d."))
        #expect(recorder.error?.retryDelayMilliseconds == 250)
    }

    @Test(arguments: ["", "!", "CAM", "AAAA", "CAMa", "CAMa/////w8"])
    func detailsThatCannotBeReadAreNone(details: String) throws {
        let recorder = try outcome(trailersOnly([("grpc-status", "3"), ("grpc-status-details-bin", details)]))
        #expect(recorder.error == RPCError(.invalidArgument, ""))
    }

    @Test(arguments: ["99", "17", "-1", "abc", "", "00", "4294967296", "1.0"])
    func aStatusThatIsNoneIsUnknown(status: String) throws {
        #expect(try outcome(trailersOnly([("grpc-status", status)])).error?.code == .unknown)
        #expect(try outcome(head + data(framed([1])) + trailersOnly([])).error?.code == .internal)
    }

    /// Frames that are no good answer, and what they mean.
    static let broken: [(String, [UInt8], StatusCode)] = [
        ("no trailers", head + data(framed([1]), end: true), .unknown),
        (
            "trailers without a status", head + data(framed([1])) + headersFrame(stream: 1, [("a", "b")], end: true),
            .unknown
        ),
        (
            "trailers that do not end", head + data(framed([1])) + headersFrame(stream: 1, [("grpc-status", "0")]),
            .internal
        ),
        ("no :status", headersFrame(stream: 1, [("content-type", "application/grpc")]), .internal),
        ("two :status", headersFrame(stream: 1, [(":status", "200"), (":status", "200")]), .internal),
        (
            "upper case",
            headersFrame(stream: 1, [(":status", "200"), ("Content-Type", "application/grpc")], end: true), .internal
        ),
        ("no message", head + ok, .internal),
        ("two messages", head + data(framed([1]) + framed([2])) + ok, .internal),
        ("half a prefix", head + data([0, 0]) + ok, .internal),
        ("half a message", head + data(framed([1], length: 2)) + ok, .internal),
        ("compressed without encoding", head + data(framed([1], flag: 1)) + ok, .internal),
        ("flag 2", head + data(framed([1], flag: 2)) + ok, .internal),
        ("too long", head + data(framed([], length: 1001)), .resourceExhausted),
        ("4 GiB", head + data(framed([], length: .max)), .resourceExhausted),
        (
            "unknown encoding",
            headersFrame(
                stream: 1, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "snappy")]),
            .internal
        ),
        (
            "content type", headersFrame(stream: 1, [(":status", "200"), ("content-type", "text/html")], end: true),
            .unknown
        ),
        (
            "grpc-web", headersFrame(stream: 1, [(":status", "200"), ("content-type", "application/grpc-web")]),
            .unknown
        ),
    ]

    @Test(arguments: broken)
    func aBrokenAnswerEndsTheCall(what: String, frames: [UInt8], code: StatusCode) throws {
        let conversation = try Conversation()
        let (recorder, _) = try conversation.call()
        try conversation.receive(frame(.settings) + frames)
        #expect(recorder.ends.count == 1 && recorder.error?.code == code, "\(what): \(recorder.ends)")
        // The connection goes on.
        let (next, exchange) = try conversation.call()
        try conversation.receive(
            headersFrame(
                stream: UInt32(exchange.id),
                [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")], end: true))
        #expect(next.error?.code == .notFound)
    }

    @Test(arguments: [
        ("302", StatusCode.unknown), ("400", .internal), ("401", .unauthenticated), ("403", .permissionDenied),
        ("404", .unimplemented), ("429", .unavailable), ("500", .unknown), ("502", .unavailable), ("503", .unavailable),
        ("504", .unavailable),
    ])
    func withoutAStatusTheHTTPStatusDecides(http: String, code: StatusCode) throws {
        for end in [true, false] {
            let error = try outcome(
                headersFrame(stream: 1, [(":status", http), ("content-type", "text/html")], end: end)
            ).error
            #expect(error?.code == code && error?.message.contains("HTTP \(http)") == true)
        }
    }

    @Test(arguments: [
        (0 as UInt32, StatusCode.internal), (1, .internal), (2, .internal), (3, .internal), (7, .unavailable),
        (8, .cancelled), (11, .resourceExhausted), (12, .permissionDenied), (99, .internal),
    ])
    func aResetIsMappedByItsCode(reset: UInt32, code: StatusCode) throws {
        for frames in [[], head, head + data(framed([1]))] {
            let recorder = try outcome(frames + frame(.reset, stream: 1, bigEndian(reset)))
            #expect(recorder.error?.code == code)
            #expect(recorder.ends.first?.isUnprocessed == (reset == 7 && frames.isEmpty))
        }
    }

    @Test func anEarlyAnswerResetsTheRequest() throws {
        let conversation = try Conversation()
        let (recorder, _) = try conversation.call(isWhole: false)
        try conversation.receive(frame(.settings) + head + data(framed([1])) + ok)
        #expect(recorder.error == nil && recorder.messages == [[1]])
        #expect(conversation.reader.responses[1]?.resetCode == 0)
        #expect(!conversation.session.hasOpenStreams)
    }

    @Test func cancellingResetsTheStream() throws {
        let conversation = try Conversation()
        let (recorder, exchange) = try conversation.call()
        exchange.cancel()
        try conversation.flush()
        #expect(conversation.reader.responses[1]?.resetCode == 8)
        try conversation.receive(frame(.settings) + head + data(framed([1])) + ok)
        #expect(recorder.ends.isEmpty && recorder.messages.isEmpty)
    }

    @Test func headerListsAreLimited() throws {
        let recorder = try outcome(
            headersFrame(stream: 1, [(":status", "200"), ("x", String(repeating: "y", count: 17_000))]))
        #expect(recorder.error?.code == .resourceExhausted)
        let trailers = try outcome(
            head + headersFrame(stream: 1, [("x", String(repeating: "y", count: 17_000))], end: true))
        #expect(trailers.error?.code == .resourceExhausted)
    }
}

@Suite struct ClientConnectionTests {
    @Test func goAwayLeavesWhatTheServerHasTaken() throws {
        let conversation = try Conversation()
        let (first, _) = try conversation.call()
        let (second, _) = try conversation.call()
        try conversation.receive(frame(.settings) + frame(.goAway, bigEndian(1) + bigEndian(0) + Array("bye".utf8)))
        #expect(first.ends.isEmpty)
        #expect(second.ends.count == 1 && second.ends[0].isUnprocessed && second.error?.code == .unavailable)
        #expect(!conversation.session.acceptsRequests && conversation.session.goAway?.debugData == "bye")
        try conversation.receive(head + data(framed([1])) + ok)
        #expect(first.ends.count == 1 && first.error == nil)
    }

    @Test func goAwaySendsOnWhoWaitsForTheirTurn() throws {
        let conversation = try Conversation()
        try conversation.receive(frame(.settings, [0, 3] + bigEndian(1)))
        let (first, _) = try conversation.call()
        let (waiting, _) = try conversation.call()
        // As servers drain: so far none is left out.
        try conversation.receive(frame(.goAway, bigEndian(UInt32(Int32.max)) + bigEndian(0)))
        #expect(waiting.ends.count == 1 && waiting.ends[0].isUnprocessed && waiting.error?.code == .unavailable)
        try conversation.receive(head + data(framed([1])) + ok)
        #expect(first.ends.count == 1 && first.error == nil && waiting.ends.count == 1)
        #expect(conversation.reader.responses[3] == nil && conversation.session.isFinished)
    }

    @Test func aCallThatNeverHadItsTurnIsNotOpen() throws {
        let conversation = try Conversation()
        try conversation.receive(frame(.settings, [0, 3] + bigEndian(0)))
        let (_, exchange) = try conversation.call()
        #expect(conversation.session.hasOpenStreams)
        exchange.cancel()
        #expect(!conversation.session.hasOpenStreams)
    }

    @Test func aLostConnectionSaysWhichCallsItHasNotSent() throws {
        let conversation = try Conversation()
        let (sent, _) = try conversation.call()
        let unsent = Recorder()
        let exchange = ClientExchange(
            session: conversation.session, maxMessageBytes: 1, hasSingleResponse: true, receiver: unsent)
        let head = requestHead(
            path: "/a/b", authority: "a", scheme: "http", userAgent: "t", timeout: nil, compression: nil, metadata: [:])
        #expect(conversation.session.open(exchange, head: head))
        conversation.session.close(reason: "cable cut")
        #expect(sent.error == RPCError(.unavailable, "cable cut") && sent.ends[0].isUnprocessed == false)
        #expect(unsent.error == RPCError(.unavailable, "cable cut") && unsent.ends[0].isUnprocessed)
    }

    @Test func requestsWaitForTheServersWindow() throws {
        let conversation = try Conversation()
        try conversation.receive(frame(.settings, [0, 4] + bigEndian(10)))
        let (recorder, _) = try conversation.call(request: [UInt8](repeating: 7, count: 100))
        #expect(conversation.reader.responses[1]?.data.count == 10 && recorder.sentBytes == 10)
        try conversation.receive(frame(.windowUpdate, stream: 1, bigEndian(50)))
        #expect(conversation.reader.responses[1]?.data.count == 60)
        try conversation.receive(frame(.settings, [0, 4] + bigEndian(1000)))
        #expect(conversation.reader.responses[1]?.ended == true && recorder.sentBytes == 105)
    }

    @Test func aSlowReaderKeepsTheWindow() throws {
        let conversation = try Conversation()
        let (recorder, exchange) = try conversation.call(isUnary: false, limit: 1 << 20)
        recorder.givesWindowBack = false
        let window = Int(ClientLimits().streamWindowBytes)
        let piece = data([UInt8](repeating: 0, count: 16_380))
        // Our window holds once the server has acknowledged it.
        try conversation.receive(frame(.settings) + frame(.settings, flags: Flag.acknowledgement) + head)
        for _ in 0..<window / 16_380 { try conversation.receive(piece) }
        #expect(conversation.reader.windowGranted == 0 && recorder.messages.count > 40_000)
        conversation.session.consume(window / 2 + 1, on: exchange)
        try conversation.flush()
        #expect(conversation.reader.windowGranted > window / 4)
        // What goes beyond the window ends the call.
        for _ in 0..<window / 16_380 + 1 { try conversation.receive(piece) }
        #expect(recorder.error?.code == .internal)
    }

    static let floods: [(String, [UInt8])] = [
        ("PINGs", frame(.ping, [UInt8](repeating: 0, count: 8))), ("SETTINGS", frame(.settings)),
        ("empty DATA", dataFrame(stream: 1, [], end: false)), ("small DATA", dataFrame(stream: 1, [0, 0], end: false)),
        ("unknown frames", frame(0xBB, [])), ("PRIORITY", frame(.priority, stream: 9, [0, 0, 0, 1, 0])),
        ("WINDOW_UPDATE", frame(.windowUpdate, stream: 1, bigEndian(1))),
        ("interim responses", headersFrame(stream: 1, [(":status", "100")])),
        ("DATA of the dead", dataFrame(stream: 3, [], end: false)),
    ]

    @Test(arguments: floods)
    func framesThatBringNothingForwardAreLimited(what: String, flood: [UInt8]) throws {
        let conversation = try Conversation()
        let (recorder, _) = try conversation.call(isUnary: false)
        if what.contains("DATA of") { _ = try conversation.call().1.cancel() }
        try conversation.receive(frame(.settings) + (what.hasSuffix("DATA") ? head : []))
        #expect(throws: HTTP2Error.self, "\(what)") {
            for _ in 0..<3000 { try conversation.receive(flood) }
        }
        conversation.session.close(reason: "flood")
        #expect(recorder.ends.count == 1)
        // At a bearable pace they are none of it.
        let calm = try Conversation()
        _ = try calm.call(isUnary: false)
        try calm.receive(frame(.settings))
        if what == "PINGs" { for second in 0..<3000 { try calm.receive(flood, now: UInt64(second) * 1_000_000_000) } }
    }

    static let violations: [(String, [UInt8])] = [
        ("HTTP/1.1", Array("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n".utf8)),
        ("no SETTINGS", frame(.ping, [UInt8](repeating: 0, count: 8))),
        ("PUSH_PROMISE", frame(.settings) + frame(.pushPromise, flags: Flag.endHeaders, stream: 1, bigEndian(2))),
        ("DATA before HEADERS", frame(.settings) + data(framed([1]))),
        ("our streams", frame(.settings) + headersFrame(stream: 7, [(":status", "200")])),
        ("even streams", frame(.settings) + headersFrame(stream: 2, [(":status", "200")])),
        ("window overflow", frame(.settings) + frame(.windowUpdate, bigEndian(0x7FFF_FFFF))),
        ("initial window", frame(.settings, [0, 4] + bigEndian(0x8000_0000))),
        ("frame size", frame(.settings) + [0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1]),
        (
            "HPACK",
            frame(.settings) + frame(.headers, flags: Flag.endHeaders, stream: 1, [0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
        ),
        ("CONTINUATION alone", frame(.settings) + frame(.continuation, stream: 1, [])),
        (
            "CONTINUATION flood",
            frame(.settings) + frame(.headers, stream: 1, [])
                + (0..<20).flatMap { _ in frame(.continuation, stream: 1, []) }
        ),
    ]

    @Test(arguments: violations)
    func whatBreaksTheProtocolEndsTheConnection(what: String, bytes: [UInt8]) throws {
        let conversation = try Conversation()
        let (recorder, _) = try conversation.call()
        var isOver = false
        do throws(HTTP2Error) { try conversation.receive(bytes) } catch { isOver = true }
        #expect(isOver || conversation.session.violation != nil || conversation.session.isFinished, "\(what)")
        conversation.session.close(reason: conversation.session.violation ?? "")
        #expect(recorder.ends.count == 1 && recorder.error?.code != nil)
    }

    /// Whatever arrives, a call ends once and nothing else happens.
    @Test func everyCutAndManyMutationsOfAnAnswer() throws {
        let answer = frame(.settings) + head + data(framed([7, 8])) + data(framed([9])) + ok
        for cut in 0..<answer.count {
            let conversation = try Conversation()
            let (recorder, _) = try conversation.call(isUnary: false)
            for byte in answer[..<cut] { try conversation.receive([byte]) }
            #expect(recorder.ends.isEmpty)
            conversation.session.close(reason: "cut")
            #expect(recorder.error == RPCError(.unavailable, "cut"))
        }
        var random: UInt64 = 1
        for _ in 0..<3000 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var mutant = answer
            mutant[Int(random >> 33) % answer.count] ^= UInt8(truncatingIfNeeded: random >> 25) | 1
            let conversation = try Conversation()
            let (recorder, _) = try conversation.call(isUnary: false)
            try? conversation.receive(mutant)
            conversation.session.close(reason: "cut")
            #expect(recorder.ends.count == 1)
        }
    }
}
