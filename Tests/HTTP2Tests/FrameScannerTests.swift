import ScriptedPeer
import Testing

@testable import FletchHTTP2

@Suite struct FrameScannerTests {
    @Test(arguments: [1, 2, 5, 8, 9, 10, 33, 10_000])
    func findsTheSameFramesInPiecesOfAnySize(_ size: Int) {
        let bytes =
            clientPreface + frame(.settings) + frame(0xFE, flags: 0xFF, stream: 0xFFFF_FFFF, [1, 2, 3])
            + headersFrame(stream: 1, [("a", "b")]) + dataFrame(stream: 3, [UInt8](repeating: 0, count: 300))
        var scanner = FrameScanner()
        var found: [[Int]] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            piece.withUnsafeBytes { piece in
                var offset = 0
                while let header = scanner.next(in: piece, at: &offset) {
                    found.append([Int(header.type), Int(header.flags), Int(header.stream), header.length])
                }
                #expect(offset == piece.count)
            }
        }
        #expect(found == [[4, 0, 0, 0], [0xFE, 0xFF, 0x7FFF_FFFF, 3], [1, 4, 1, 5], [0, 1, 3, 300]])
        #expect(scanner.isBetweenFrames)
    }

    @Test func knowsWhetherAFrameIsWhole() {
        let bytes = clientPreface + frame(.ping, [UInt8](repeating: 0, count: 8))
        for count in 0...bytes.count {
            var scanner = FrameScanner()
            var offset = 0
            bytes[..<count].withUnsafeBytes { while scanner.next(in: $0, at: &offset) != nil {} }
            #expect(scanner.isBetweenFrames == (count == clientPreface.count || count == bytes.count))
        }
    }
}

@Suite struct StreamHistoryTests {
    @Test func tellsSkippedStreamsFromThoseThatEnded() {
        var history = StreamHistory()
        history.open(5)
        history.open(7)
        history.noteEndedByUs(7)
        history.open(13)
        #expect(
            [1, 3, 5, 7, 9, 11].map { history.fate(of: $0) } == [
                .skipped, .skipped, .endedByPeer, .endedByUs, .skipped, .skipped,
            ])
        #expect(history.latest == 13)
    }

    @Test func givesTheBenefitOfTheDoubtToWhatItForgot() {
        var history = StreamHistory()
        // Every other stream is skipped: more ranges than it keeps.
        for index in Int32(0)..<100 { history.open(4 * index + 1) }
        #expect(history.fate(of: 399 - 4) == .skipped)
        #expect(history.fate(of: 3) == .endedByUs)
        #expect(history.fate(of: 1) == .endedByUs)
    }

    @Test func keepsARunOfResetsAsOneRange() {
        var history = StreamHistory()
        history.open(5)
        for id in stride(from: Int32(7), through: 20_001, by: 2) {
            history.open(id)
            history.noteEndedByUs(id)
        }
        #expect(history.fate(of: 1) == .skipped)
        #expect(history.fate(of: 7) == .endedByUs)
        #expect(history.fate(of: 19_999) == .endedByUs)
    }

    @Test func takesTheLastStreamThereCanBe() {
        var history = StreamHistory()
        history.open(1)
        history.open(.max)
        #expect(history.fate(of: .max - 2) == .skipped)
    }
}
