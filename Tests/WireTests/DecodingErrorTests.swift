import Quirks
import Testing
import FletchWire

@Suite struct DecodingErrorTests {
    @Test(arguments: [
        ("tag of field 0", "0001"), ("cut tag", "80"), ("tag of six bytes", "888080808000"),
        ("tag above 32 bits", "f8ffffff1f03"), ("cut varint", "1880"),
        ("varint of eleven bytes", "188080808080808080808000"),
        ("cut fixed64", "0900000000000000"), ("cut fixed32", "15000000"), ("cut string", "4a0261"),
        ("length of six bytes", "4a818080808000"), ("length above 32 bits", "4affffffff7f"),
        ("length over the end", "4affffffff0f"), ("no length", "4a"), ("wire type 6", "0e"), ("wire type 7", "0f"),
        ("cut unknown field", "a206ff"), ("cut unknown varint", "a006ff"), ("cut field of another type", "1a02 01"),
        ("group without end", "9b06"), ("group cut in its field", "9b06 09 00"), ("end without group", "9c06"),
        ("end of another group", "9b06 a406"), ("group that ends late", "9b06 a306 9c06 a406"),
        ("end of a known field", "0c"), ("tag 0 in a group", "9b06 0001 9c06"),
        ("wire type 7 in a group", "9b060f9c06"),
    ])
    func malformed(name: String, bytes: String) {
        #expect(decodingError(QScalars.self, hex(bytes))?.code == .malformed, "\(name)")
    }

    @Test(arguments: ["0a07", "1203000000", "2a01ff", "2a0aff", "420180", "4202ff8080", "8a0103400100"])
    func malformedRepeated(bytes: String) {
        #expect(decodingError(QRepeated.self, hex(bytes))?.code == .malformed)
    }

    @Test func errorsNameTheField() {
        #expect(decodingError(QScalars.self, hex("4a01ff"))?.message == "quirks.Scalars.a_string is not valid UTF-8")
        #expect(
            decodingError(QRepeated.self, hex("8a01034a01ff"))
                == WireError(.invalidUTF8, "quirks.Scalars.a_string is not valid UTF-8"))
        #expect(
            decodingError(QScalars.self, hex("9b06"))?.message
                == "quirks.Scalars has a broken unknown field")
        #expect(decodingError(QScalars.self, hex("0001"))?.message == "quirks.Scalars has a broken field tag")
    }

    /// Every beginning of a message either ends between two of its fields or is refused.
    @Test func truncation() throws {
        let message = QRepeated(
            doubles: [1], int64S: [-1, 300], bools: [true], strings: ["é"], messages: [QScalars(aString: "x")])
        let encoded = message.encoded()
        var accepted = 0
        for length in 0..<encoded.count {
            let prefix = Array(encoded[..<length])
            guard let value = try? QRepeated(decoding: prefix) else { continue }
            accepted += 1
            #expect(value.encoded() == prefix)
        }
        #expect(accepted == 5)
    }

    @Test func bytesNeedNotBeText() throws {
        #expect(try decode(QScalars.self, hex("5201ff")).someBytes == [0xff])
    }

    @Test func depthIsLimited() throws {
        func nested(_ levels: Int) -> [UInt8] {
            (0..<levels).reduce([]) { inner, _ in field(2, inner) }
        }
        _ = try decode(QNode.self, nested(100))
        #expect(
            decodingError(QNode.self, nested(101))
                == WireError(.tooDeep, "quirks.Node.left is nested too deep (limit: 100 levels)"))
        #expect(decodingError(QNode.self, nested(50_000))?.code == .tooDeep)
        #expect(decodingError(QNode.self, nested(3), limits: DecodeLimits(depth: 2))?.code == .tooDeep)
        _ = try decode(QNode.self, nested(2), limits: DecodeLimits(depth: 2))
    }

    /// Two bytes on the wire make an empty message in memory.
    @Test func memoryIsLimited() throws {
        let bomb = [UInt8](repeating: 0, count: 1 << 20).indices.flatMap { _ in [0x22, 0x00] as [UInt8] }
        #expect(decodingError(QNode.self, bomb)?.code == .tooLarge)
        let small = Array(bomb[..<2000])
        #expect(try decode(QNode.self, small).children.count == 1000)
        #expect(decodingError(QNode.self, small, limits: DecodeLimits(memory: 80_000))?.code == .tooLarge)
        #expect(decodingError(QScalars.self, [], limits: DecodeLimits(memory: 10))?.code == .tooLarge)
    }

    @Test func theArenaLimitsMemoryToo() {
        let bytes = field(9, [UInt8](repeating: 0x61, count: 2000))
        withArena(limit: 1000) { arena in
            bytes.withUnsafeBytes { bytes in
                #expect {
                    try QScalars.View(decoding: bytes, in: arena)
                } throws: { error in
                    error as? WireError
                        == WireError(
                            .tooLarge,
                            "quirks.Scalars.a_string takes more memory than its arena may hold (limit: 1000 bytes "
                                + "beyond its first block; send less, or make it with a higher one)")
                }
            }
        }
    }

    /// Less memory than a message takes is too little, more is not.
    @Test(arguments: [1, 15, 16, 17, 48, 49, 1000])
    func enoughMemorySuffices(count: Int) throws {
        let scalars = QScalars(aString: "some text", someBytes: [1])
        let message = QRepeated(
            int32S: [Int32](repeating: 1, count: count), bools: [Bool](repeating: false, count: count),
            strings: [String](repeating: "s", count: count), messages: [QScalars](repeating: scalars, count: count))
        // As fields that the schema does not know, too.
        let bytes = message.encoded() + (0..<count).flatMap { _ in hex("a00601") }
        var low = 0
        var high = 16 << 20
        while high - low > 1 {
            let middle = (low + high) / 2
            if decodingError(QRepeated.self, bytes, limits: DecodeLimits(memory: middle)) == nil {
                high = middle
            } else {
                low = middle
            }
        }
        #expect(decodingError(QRepeated.self, bytes, limits: DecodeLimits(memory: high)) == nil)
        #expect(decodingError(QRepeated.self, bytes, limits: DecodeLimits(memory: low))?.code == .tooLarge)
    }
}
