import FletchHTTP2
import ScriptedPeer
import Testing

// What a peer may not do, beyond floods: each rule with the session alone. Tests/EndToEnd has the same over sockets.
@Suite struct ProtectionTests {
    private let talk = Conversation()

    private func begin(answers: Bool = true) {
        talk.recorder.answers = answers
        talk.send(handshake())
    }

    @Test(arguments: [1, 1000])
    func endsAConnectionThatGoesBackToASkippedStream(_ piece: Int) {
        begin()
        talk.send(
            headersFrame(stream: 5, fields, end: true) + headersFrame(stream: 3, fields, end: true), inPiecesOf: piece)
        #expect(talk.goAwayCode == 1)
        #expect(talk.reader.responses[3] == nil)
    }

    @Test func tellsWhatIsUnderWayFromWhatMustNotBeSent() {
        begin(answers: false)
        talk.send(headersFrame(stream: 1, fields) + headersFrame(stream: 3, fields))
        talk.session.forEachOpenStream { if $0.pointee.id == 1 { talk.session.reset($0, code: 8) } }
        talk.read()
        talk.send(dataFrame(stream: 1, [1, 2, 3], end: false) + headersFrame(stream: 1, [("a", "b")], end: true))
        #expect(talk.goAwayCode == nil)
        talk.send(frame(.reset, stream: 3, bigEndian(8)))
        talk.send(dataFrame(stream: 3, [1, 2, 3]))
        #expect(talk.goAwayCode == 5)
    }

    @Test func countsFramesOnStreamsThatItReset() {
        begin(answers: false)
        talk.send(headersFrame(stream: 1, fields))
        talk.session.forEachOpenStream { talk.session.reset($0, code: 8) }
        talk.read()
        for _ in 0..<1100 { talk.send(dataFrame(stream: 1, [], end: false)) }
        #expect(talk.goAwayCode == enhanceYourCalm)
    }

    @Test func countsRefusedStreams() {
        talk.recorder.answers = false
        talk.send(clientPreface + frame(.settings))
        for call in 0..<1200 { talk.send(headersFrame(stream: UInt32(2 * call + 1), fields)) }
        #expect(talk.goAwayCode == nil)
        for call in 1200..<1400 { talk.send(headersFrame(stream: UInt32(2 * call + 1), fields)) }
        #expect(talk.goAwayCode == enhanceYourCalm)
    }

    @Test func countsMalformedRequests() {
        begin(answers: false)
        for call in 0..<150 { talk.send(headersFrame(stream: UInt32(2 * call + 1), fields + [("X", "y")])) }
        #expect(talk.goAwayCode == enhanceYourCalm)
        #expect(talk.recorder.events.allSatisfy { $0.hasPrefix("closed") })
    }

    @Test(arguments: [(4, 1), (1, 200)])
    func countsDataThatBringsNothing(_ bytes: Int, _ padding: Int) {
        begin(answers: false)
        talk.send(headersFrame(stream: 1, fields))
        let payload =
            [UInt8(padding)] + [UInt8](repeating: 1, count: bytes) + [UInt8](repeating: 0, count: padding)
        for _ in 0..<1100 { talk.send(frame(.data, flags: Flag.padded, stream: 1, payload)) }
        #expect(talk.goAwayCode == enhanceYourCalm)
    }

    @Test func takesSmallMessagesWithoutEnd() {
        begin(answers: false)
        talk.send(headersFrame(stream: 1, fields))
        for _ in 0..<5000 { talk.send(dataFrame(stream: 1, [0, 0, 0, 0, 0], end: false)) }
        #expect(talk.goAwayCode == nil)
    }

    @Test func endsAPeerThatDrawsAnAnswerByteByByte() {
        talk.recorder.bodyCount = 100_000
        talk.send(handshake([(4, 1)]) + headersFrame(stream: 1, fields, end: true))
        for _ in 0..<1100 { talk.send(frame(.windowUpdate, stream: 1, bigEndian(1))) }
        #expect(talk.goAwayCode == enhanceYourCalm)
        #expect((talk.reader.responses[1]?.data.count ?? 0) < 1100)
    }

    @Test func endsAPeerThatDrawsManyAnswersByTurningItsWindow() {
        talk.recorder.bodyCount = 1000
        talk.send(handshake([(4, 0)]))
        for call in 0..<100 { talk.send(headersFrame(stream: UInt32(2 * call + 1), fields, end: true)) }
        for turn in 1...1500 { talk.send(frame(.settings, [0, 4] + bigEndian(UInt32(turn / 10)))) }
        #expect(talk.goAwayCode == enhanceYourCalm)
    }

    @Test func endsAConnectionWhoseWindowsOverflowBySettings() {
        begin(answers: false)
        talk.send(
            headersFrame(stream: 1, fields) + frame(.windowUpdate, stream: 1, bigEndian(0x7FFF_FFFF - 65_535))
                + frame(.settings, [0, 4] + bigEndian(65_536)))
        #expect(talk.goAwayCode == 3)
    }

    @Test func boundsTheTableThatThePeerAsksFor() {
        var limits = Limits()
        limits.headerTableBytes = 0
        let talk = Conversation(limits)
        // The peer allows a table of 1 MiB; none is used, so no field is sent as a reference to an earlier one.
        talk.send(handshake([(1, 1 << 20)]))
        let flags = Flag.endStream | Flag.endHeaders
        // Its own table it must give up, and say so.
        talk.send(frame(.headers, flags: flags, stream: 1, [0x20] + headerBlock(fields)))
        talk.send(frame(.headers, flags: flags, stream: 3, headerBlock(fields)))
        #expect(talk.reader.responses[3]?["done"] == "yes")
        #expect(talk.reader.tableBytes == 0)
    }

    @Test func readsNothingMoreOnceItHasEndedTheConnection() {
        begin()
        talk.send(
            headersFrame(stream: 5, fields, end: true) + headersFrame(stream: 3, fields, end: true)
                + headersFrame(stream: 7, fields, end: true))
        talk.send(headersFrame(stream: 9, fields, end: true))
        #expect(talk.recorder.events.filter { $0.hasPrefix("headers") } == ["headers 5 4"])
        #expect(talk.reader.goAways.last?.lastStream == 5)
        #expect(talk.session.isFinished)
    }

    @Test func saysWhetherHeadersOrAControlFrameAreUnderWay() {
        begin(answers: false)
        #expect(talk.session.unfinishedHeaders == nil)
        let headers = headersFrame(stream: 1, fields)
        talk.send(Array(headers.dropLast()))
        #expect(talk.session.unfinishedHeaders != nil)
        talk.send([headers.last!])
        #expect(talk.session.unfinishedHeaders == nil)
        talk.send(Array(dataFrame(stream: 1, [1, 2, 3], end: false).dropLast()))
        #expect(talk.session.unfinishedHeaders == nil)
        talk.send([3] + Array(frame(.ping, [UInt8](repeating: 0, count: 8)).dropLast()))
        #expect(talk.session.unfinishedHeaders != nil)
        talk.send([0] + frame(.headers, stream: 3, headerBlock(fields)))
        #expect(talk.session.unfinishedHeaders != nil)
        let number = talk.session.unfinishedHeaders
        talk.send(frame(.continuation, stream: 3))
        #expect(talk.session.unfinishedHeaders == number)
        talk.send(frame(.continuation, flags: Flag.endHeaders, stream: 3))
        #expect(talk.session.unfinishedHeaders == nil)
        talk.send(Array(frame(.ping, [UInt8](repeating: 0, count: 8)).dropLast()))
        #expect(talk.session.unfinishedHeaders != number)
    }
}
