import Quirks
import Testing
import FletchWire

@Suite struct UnknownFieldTests {
    /// One of each wire type, the same number twice, and one with a tag of five bytes.
    private static let unknown = hex("a00601 a106 0102030405060708 a206 026869 a506 01020304 a00602 f8ffffff0f03")

    @Test func valuesKeepThem() throws {
        let message = try decode(QScalars.self, hex("4001") + Self.unknown)
        #expect(message.aBool && message.unknownFields.bytes == Self.unknown)
        #expect(message.encoded() == hex("4001") + Self.unknown)
        #expect(message != QScalars(aBool: true))
    }

    @Test func viewsKeepThem() throws {
        let bytes = field(4, hex("4001") + Self.unknown)
        try withArena { arena in
            try bytes.withUnsafeBytes { bytes in
                let view = try QChoice.View(decoding: bytes, in: arena)
                #expect(view.encoded() == Array(bytes))
            }
        }
    }

    @Test func theyFollowKnownFields() throws {
        #expect(try decode(QEmpty.self, Self.unknown).encoded() == Self.unknown)
        #expect(try decode(QScalars.self, hex("a00601 4001")).encoded() == hex("4001 a00601"))
    }
}
