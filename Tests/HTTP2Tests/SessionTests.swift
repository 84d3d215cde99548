import FletchHTTP2
import ScriptedPeer
import Testing

@Suite struct SessionTests {
    @Test func tellsARequestInOrderAndSendsTheAnswer() {
        let talk = Conversation()
        talk.send(handshake() + headersFrame(stream: 1, fields) + dataFrame(stream: 1, [1, 2, 3]))
        #expect(talk.recorder.events == ["headers 1 4", "data 1 3", "end 1", "closed 1"])
        let response = talk.reader.responses[1]
        #expect(response?.httpStatus == "200")
        #expect(response?.data == [7, 7, 7, 7])
        #expect(response?["done"] == "yes")
        #expect(response?.ended == true)
        #expect(talk.session.openStreamCount == 0)
    }

    @Test func takesBytesOneByOne() {
        let talk = Conversation()
        for byte in handshake() + headersFrame(stream: 1, fields) + dataFrame(stream: 1, [1, 2, 3]) {
            talk.send([byte])
        }
        #expect(talk.recorder.events.filter { !$0.hasPrefix("data") } == ["headers 1 4", "end 1", "closed 1"])
        #expect(talk.reader.responses[1]?.ended == true)
    }

    @Test func sendsALargeAnswerOverManyBuffersAndWindows() {
        let talk = Conversation()
        talk.recorder.bodyCount = 200_000
        talk.send(handshake() + headersFrame(stream: 1, fields, end: true))
        // The peer's windows are 65,535 bytes until it grants more.
        #expect(talk.reader.responses[1]?.data.count == 65_535)
        #expect(talk.session.unsentAnswers == 1)
        let grant = bigEndian(1_000_000)
        talk.send(frame(.windowUpdate, grant) + frame(.windowUpdate, stream: 1, grant))
        #expect(talk.reader.responses[1]?.data.count == 200_000)
        #expect(talk.reader.responses[1]?["done"] == "yes")
        #expect(talk.session.unsentAnswers == 0)
    }

    @Test func resumesAFrameThatDidNotFitTheBuffer() {
        let talk = Conversation()
        talk.recorder.bodyCount = 60_000
        let small = OutputBuffer(capacity: 34 << 10)
        talk.send(handshake() + headersFrame(stream: 1, fields, end: true), reading: false)
        var fills = 0
        while true {
            small.clear()
            guard let isComplete = try? talk.session.fill(small) else { break }
            #expect(small.bytes.count <= 34 << 10)
            talk.reader.read(small.bytes)
            fills += 1
            if isComplete { break }
        }
        #expect(fills > 1)
        #expect(talk.reader.responses[1]?.data.count == 60_000)
        #expect(talk.reader.responses[1]?.ended == true)
    }

    @Test func refusesAnythingButHTTP2() {
        let talk = Conversation()
        talk.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        #expect(talk.error?.kind == .notHTTP2)
    }

    @Test func marksHeaderListsOverTheLimit() {
        let talk = Conversation()
        let big = (0..<20).map { ("x-\($0)", String(repeating: "a", count: 1000)) }
        talk.send(handshake() + headersFrame(stream: 1, fields + big, end: true))
        #expect(talk.recorder.events.first?.hasSuffix("too large") == true)
    }

    @Test func abortsAHeaderBombBeforeItIsWalked() {
        let talk = Conversation()
        // One 4 kB field enters the table; each byte 0xBE then stands for all of it.
        let block =
            headerBlock(fields) + [0x40] + Array(headerBlock([("x", String(repeating: "a", count: 4000))]).dropFirst())
        let bomb = block + [UInt8](repeating: 0xBE, count: 10_000)
        talk.send(handshake() + frame(.headers, flags: Flag.endHeaders, stream: 1, bomb))
        #expect(talk.recorder.events == ["closed 1"])
        #expect(talk.reader.responses[1]?.resetCode == 2)
        talk.send(headersFrame(stream: 3, fields, end: true))
        #expect(talk.reader.responses[3]?.ended == true)
    }

    @Test(arguments: [FrameType.ping, .settings, .priority, .windowUpdate, .data])
    func endsAConnectionThatFloodsFramesWithoutProgress(_ type: FrameType) {
        var limits = Limits()
        limits.noProgressFrameBurst = 50
        let talk = Conversation(limits)
        talk.send(handshake() + headersFrame(stream: 1, fields))
        let flood: [UInt8] =
            switch type {
            case .ping: frame(.ping, [UInt8](repeating: 0, count: 8))
            case .priority: frame(.priority, stream: 1, [0, 0, 0, 0, 1])
            case .windowUpdate: frame(.windowUpdate, bigEndian(1))
            case .data: dataFrame(stream: 1, [], end: false)
            default: frame(.settings)
            }
        for _ in 0..<40 { talk.send(flood) }
        #expect(talk.goAwayCode == nil)
        for _ in 0..<40 { talk.send(flood) }
        #expect(talk.goAwayCode == enhanceYourCalm)
        #expect(talk.session.isFinished)
    }

    @Test func countsFramesOfUnknownTypes() {
        var limits = Limits()
        limits.noProgressFrameBurst = 50
        let talk = Conversation(limits)
        talk.send(handshake())
        for _ in 0..<60 { talk.send(frame(0x42, stream: 0, [1, 2, 3])) }
        #expect(talk.goAwayCode == enhanceYourCalm)
    }

    @Test func letsTimeAndRequestsEarnAllowance() {
        var limits = Limits()
        limits.noProgressFrameBurst = 50
        let talk = Conversation(limits)
        talk.send(handshake())
        for second in 0..<20 {
            for _ in 0..<limits.noProgressFramesPerSecond { talk.send(frame(.ping, [UInt8](repeating: 0, count: 8))) }
            talk.session.earnAllowance(seconds: 1)
            #expect(talk.goAwayCode == nil, "second \(second)")
        }
        for call in 0..<100 {
            talk.send(headersFrame(stream: UInt32(2 * call + 1), fields, end: true))
            for _ in 0..<3 { talk.send(frame(.ping, [UInt8](repeating: 0, count: 8))) }
        }
        #expect(talk.goAwayCode == nil)
    }

    @Test func endsAConnectionThatMakesUsReset() {
        var limits = Limits()
        limits.ownResetBurst = 20
        let talk = Conversation(limits)
        talk.recorder.answers = false
        talk.send(handshake())
        for call in 0..<40 {
            let stream = UInt32(2 * call + 1)
            // A window that overflows is the peer's error, answered by a reset of the stream.
            talk.send(
                headersFrame(stream: stream, fields) + frame(.windowUpdate, stream: stream, bigEndian(0x7FFF_FFFF)))
        }
        #expect(talk.goAwayCode == enhanceYourCalm)
    }

    @Test func endsARapidReset() {
        var limits = Limits()
        limits.peerResetBurst = 20
        limits.peerResetsPerSecond = 1
        let talk = Conversation(limits)
        talk.recorder.answers = false
        talk.send(handshake())
        for call in 0..<40 {
            let stream = UInt32(2 * call + 1)
            talk.send(headersFrame(stream: stream, fields) + frame(.reset, stream: stream, bigEndian(8)))
        }
        #expect(talk.reader.goAways.count == 1)
        #expect(talk.session.isFinished)
    }

    @Test func refusesStreamsAboveTheLimit() {
        var limits = Limits()
        limits.maxConcurrentStreams = 2
        let talk = Conversation(limits)
        talk.recorder.answers = false
        talk.send(clientPreface + frame(.settings))
        for stream in [UInt32(1), 3, 5] { talk.send(headersFrame(stream: stream, fields)) }
        #expect(talk.reader.responses[5]?.resetCode == 7)
        #expect(talk.session.openStreamCount == 2)
        // Once the peer has acknowledged the limit, going beyond it is an error of the connection.
        talk.send(frame(.settings, flags: Flag.acknowledgement) + headersFrame(stream: 7, fields))
        #expect(talk.goAwayCode == 1)
    }

    @Test(arguments: [1, 1000])
    func endsAContinuationFlood(_ piece: Int) {
        let talk = Conversation()
        let flood = (0..<20).flatMap { _ in frame(.continuation, stream: 1, headerBlock([("a", "b")])) }
        talk.send(handshake())
        talk.send(frame(.headers, stream: 1, headerBlock(fields)) + flood, inPiecesOf: piece)
        #expect(talk.goAwayCode == enhanceYourCalm)
        #expect(talk.recorder.events.isEmpty)
    }

    @Test func takesHeadersWhoseContinuationsComeByteByByte() {
        let talk = Conversation()
        let block = headerBlock(fields)
        talk.send(handshake())
        talk.send(
            frame(.headers, flags: Flag.endStream, stream: 1, Array(block[..<9]))
                + frame(.continuation, flags: Flag.endHeaders, stream: 1, Array(block[9...])), inPiecesOf: 1)
        #expect(talk.reader.responses[1]?.ended == true)
    }

    @Test func refillsWindowsOnlyAsBytesAreTaken() {
        let talk = Conversation()
        talk.recorder.answers = false
        talk.send(handshake() + headersFrame(stream: 1, fields))
        for _ in 0..<100 { talk.send(dataFrame(stream: 1, [UInt8](repeating: 1, count: 16_000), end: false)) }
        #expect(talk.error == nil)
        #expect(talk.goAwayCode == nil)
        #expect(talk.reader.frameTypes.contains(FrameType.windowUpdate.rawValue))
    }

    @Test func drainsInTwoPhases() {
        let talk = Conversation()
        talk.send(handshake())
        talk.session.announceShutdown()
        talk.read()
        #expect(talk.reader.goAways.last?.lastStream == 0x7FFF_FFFF)
        #expect(!talk.session.shutdownWasRead)
        // A call that was under way is still taken.
        talk.send(headersFrame(stream: 1, fields, end: true))
        #expect(talk.reader.responses[1]?.ended == true)
        talk.send(frame(.ping, flags: Flag.acknowledgement, talk.reader.pings[0]))
        #expect(talk.session.shutdownWasRead)
        talk.session.refuseNewStreams()
        talk.read()
        #expect(talk.reader.goAways.last?.lastStream == 1)
        #expect(talk.session.isFinished)
    }

    @Test func tellsTheAnswersToItsPingsApart() {
        let talk = Conversation()
        talk.send(handshake())
        talk.session.ping()
        talk.session.announceShutdown()
        talk.read()
        #expect(talk.reader.pings.map { String(decoding: $0, as: UTF8.self) } == ["liveness", "shutdown"])
        talk.send(frame(.ping, flags: Flag.acknowledgement, talk.reader.pings[0]))
        talk.send(frame(.ping, flags: Flag.acknowledgement, [UInt8](repeating: 0, count: 8)))
        #expect(!talk.session.shutdownWasRead)
        #expect(talk.session.pingsReceived == 0)
        talk.send(frame(.ping, flags: Flag.acknowledgement, talk.reader.pings[1]))
        #expect(talk.session.shutdownWasRead)
    }

    @Test func countsPingsOfThePeerAndFramesWithContent() {
        let talk = Conversation()
        talk.send(handshake())
        for _ in 0..<3 { talk.send(frame(.ping, [UInt8](repeating: 0, count: 8))) }
        #expect(talk.session.pingsReceived == 3)
        #expect(talk.session.contentFramesSent == 1)
        talk.send(headersFrame(stream: 1, fields, end: true))
        // Head, body, trailers.
        #expect(talk.session.contentFramesSent == 4)
    }

    @Test func saysWhatWasTooMuch() {
        let talk = Conversation()
        talk.recorder.answers = false
        talk.send(handshake() + headersFrame(stream: 1, fields))
        talk.session.announceShutdown()
        talk.session.terminate(debugData: "too_many_pings")
        #expect(!talk.session.isFinished)
        talk.read()
        #expect(talk.reader.goAways.map(\.code) == [0, enhanceYourCalm])
        #expect(talk.reader.goAways.map(\.debugData) == ["", "too_many_pings"])
        #expect(talk.reader.goAways.map(\.lastStream) == [0x7FFF_FFFF, 1])
        #expect(talk.session.isFinished)
        talk.send(headersFrame(stream: 3, fields))
        #expect(talk.recorder.events == ["headers 1 4"])
    }

    @Test func reportsOpenStreamsWhenClosed() {
        let talk = Conversation()
        talk.recorder.answers = false
        talk.send(handshake() + headersFrame(stream: 1, fields) + headersFrame(stream: 3, fields))
        talk.session.close()
        #expect(talk.recorder.events.suffix(2).sorted() == ["closed 1", "closed 3"])
        talk.send(frame(.ping, [UInt8](repeating: 0, count: 8)))
        #expect(talk.session.isFinished)
    }
}
