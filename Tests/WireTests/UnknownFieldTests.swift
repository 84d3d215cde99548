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

    /// Each field of one wire type as it would be in each other one.
    @Test(arguments: [
        "0801", "0a0101", "0d00000000", "1101 00000000000000", "1200", "1801",
    ])
    func ofAnotherWireType(bytes: String) throws {
        let message = try decode(QScalars.self, hex(bytes))
        let isKnown = bytes == "1801"
        #expect(message.unknownFields.bytes == (isKnown ? [] : hex(bytes)))
        #expect(message.encoded() == hex(bytes))
    }

    /// What the schema does not have stays in its order, wherever it stood; what it has is read.
    @Test func amongKnownFields() throws {
        let bytes = hex("1a0161 1805 9b06 0801 9c06 4a0178 a00601 4801 0b 0c 8001 01")
        let message = try decode(QScalars.self, bytes)
        #expect(message.anInt64 == 5 && message.aString == "x" && message.level == .low)
        #expect(message.unknownFields.bytes == hex("1a0161 9b06 0801 9c06 a00601 4801 0b 0c"))
        #expect(message.encoded() == hex("1805 4a0178 800101") + message.unknownFields.bytes)
        #expect(try decode(QScalars.self, message.encoded()) == message)
    }

    @Test func repeatedFieldsOfAnotherWireType() throws {
        let bytes = hex("2801 2d01020304 2a0102 290102030405060708 2803 4801 0d00000000")
        let message = try decode(QRepeated.self, bytes)
        #expect(message.int32S == [1, 2, 3])
        #expect(message.unknownFields.bytes == hex("2d01020304 290102030405060708 4801 0d00000000"))
    }

    /// In submessages, their elements, maps and members of oneofs.
    @Test func atEveryLevel() throws {
        let wrong = hex("0801 13080114")
        let message = QNode(value: "v", left: QNode(value: "l"), children: [QNode(value: "a"), QNode(value: "b")])
        let bytes =
            field(1, [0x76]) + wrong + field(2, wrong + field(1, [0x6c]))
            + field(4, field(1, [0x61])) + field(4, wrong + field(1, [0x62]) + hex("a00601"))
        let unknown = try decode(QEmpty.self, wrong).unknownFields
        var expected = message
        expected.unknownFields = unknown
        expected.left?.unknownFields = unknown
        expected.children[1].unknownFields = try decode(QEmpty.self, wrong + hex("a00601")).unknownFields
        #expect(try decode(QNode.self, bytes) == expected)
        #expect(try decode(QNode.self, expected.encoded()) == expected)

        let choice = try decode(QChoice.self, field(5, field(5, hex("1d01020304 1007"))) + hex("0801"))
        guard case .choice(let outer) = choice.value, case .choice(let inner) = outer.value else {
            Issue.record("\(choice)")
            return
        }
        #expect(inner.value == .number(7) && inner.unknownFields.bytes == hex("1d01020304"))
        #expect(choice.unknownFields.bytes == hex("0801"))
        #expect(try decode(QMaps.self, field(1, hex("0a0161 1001 1500000000 0801"))).counts == ["a": 1])
    }

    /// A member of a oneof in another wire type is none: it clears nothing.
    @Test func membersOfOneofsOfAnotherWireType() throws {
        let message = try decode(QChoice.self, hex("1007 0d01020304 2001"))
        #expect(message.value == .number(7) && message.unknownFields.bytes == hex("0d01020304 2001"))
    }

    @Test func mergedWithTheirMessages() throws {
        let node = try decode(QNode.self, field(2, hex("0801 a00601")) + field(2, hex("0802") + field(1, [0x61])))
        #expect(node.left?.value == "a" && node.left?.unknownFields.bytes == hex("0801 a00601 0802"))
    }

    /// A field of the number under which they are gathered is one of them.
    @Test func ofTheNumberThatGathersThem() throws {
        let unknown = hex("c2a309 026869 0801 c0a30907")
        #expect(try decode(QNode.self, unknown).unknownFields.bytes == unknown)
        #expect(try decode(QNode.self, hex("c2a309 026869")).unknownFields.bytes == hex("c2a309 026869"))
    }

    /// A tag that was longer than it must be is as long as it must be from then on, as protobuf-c has it.
    @Test func longTags() throws {
        let bytes = hex("e08600 01 a2868000 00 8800 02")
        #expect(try decode(QNode.self, bytes).unknownFields.bytes == hex("e006 01 a206 00 0802"))
        let plain = hex("e08600 01 a2868000 00")
        #expect(try decode(QNode.self, plain).unknownFields.bytes == hex("e006 01 a206 00"))
    }

    @Test func groupsCountAsLevels() throws {
        func groups(_ count: Int) -> [UInt8] {
            [UInt8](repeating: 0x0b, count: count) + [UInt8](repeating: 0x0c, count: count)
        }
        #expect(try decode(QEmpty.self, groups(100)).encoded() == groups(100))
        #expect(decodingError(QEmpty.self, groups(101))?.code == .tooDeep)
        #expect(decodingError(QEmpty.self, groups(1_000_000))?.code == .tooDeep)
        #expect(try decode(QNode.self, field(2, field(2, groups(98)))).left?.left?.unknownFields.bytes == groups(98))
        #expect(
            decodingError(QNode.self, field(2, field(2, groups(99))))
                == WireError(
                    .tooDeep, "quirks.Node has an unknown group that is nested too deep (limit: 100 levels)"))
    }

    @Test(arguments: [1, 16, 17, 500])
    func theirMemoryIsBounded(count: Int) throws {
        let bytes = (0..<count).flatMap { _ in field(4, hex("0801 9b06 9c06 a00601") + field(2, hex("0801"))) }
        let message = try decode(QNode.self, bytes)
        #expect(message.children.count == count)
        #expect(message.encoded().count == bytes.count)
        #expect(decodingError(QNode.self, bytes, limits: DecodeLimits(memory: count * 150))?.code == .tooLarge)
    }
}
