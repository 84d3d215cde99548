import Quirks
import Testing
import FletchWire

/// A singular message field that occurs twice is merged: the same as decoding both payloads one after the other.
@Suite struct MergingTests {
    private static let parts = [
        QScalars(aDouble: 1, anInt32: 7, aString: "first", someBytes: [1]), QScalars(),
        QScalars(anInt32: 8, aBool: true), QScalars(aString: "last", level: .high),
    ]

    @Test func mergedIsConcatenated() throws {
        for first in Self.parts {
            for second in Self.parts {
                let message = try decode(QOptionals.self, occurrence(first) + occurrence(second))
                #expect(message.scalars == (try QScalars(decoding: first.encoded() + second.encoded())))
            }
        }
    }

    /// Field 17 takes a tag of two bytes.
    private func occurrence(_ scalars: QScalars) -> [UInt8] {
        hex("8a01") + varint(scalars.encoded().count) + scalars.encoded()
    }

    @Test func mergingGoesDeep() throws {
        let first = field(2, field(2, field(1, [0x61]) + field(4, [])))
        let second = field(2, field(2, field(4, [])) + field(2, field(1, [0x62])))
        let node = try decode(QNode.self, first + field(1, [0x72]) + second)
        let inner = QNode(value: "b", children: [QNode(), QNode()])
        #expect(node == QNode(value: "r", left: QNode(left: inner)))
        #expect(node.encoded() == field(1, [0x72]) + field(2, field(2, inner.encoded())))
    }

    @Test func unknownFieldsAreMerged() throws {
        let node = try decode(QNode.self, field(2, hex("a00601")) + field(2, hex("a00602")))
        #expect(node.left?.unknownFields.bytes == hex("a00601a00602"))
    }

    @Test func unsetOneofsAreMerged() throws {
        // Scalars has no oneof, Choice has one that stays unset.
        let choice = try decode(QChoice.self, field(5, field(9, [0x61])) + field(5, []))
        #expect(choice.value == .choice(QChoice(name: "a")))
    }

    @Test func membersOfOneofsAreMergedUntilAnotherIsSet() throws {
        let one = field(5, field(9, [0x61]))
        let two = field(5, hex("1005"))
        let text = field(1, [0x74])
        #expect(try decode(QChoice.self, one + two).value == .choice(QChoice(name: "a", value: .number(5))))
        #expect(try decode(QChoice.self, one + text + two).value == .choice(QChoice(value: .number(5))))
        #expect(try decode(QChoice.self, one + two + text).value == .text("t"))
    }

    /// The members of a oneof share their memory: what one left there is no message to merge with.
    @Test(arguments: ["1041", "10ffffffffffffffffff01", "0a0461616161", "1801", "3001", "3a0161", "414141414141414141"])
    func otherMembersAreNotMergedWith(member: String) throws {
        let message = try decode(QChoice.self, hex(member) + field(5, field(9, [0x61])))
        #expect(message.value == .choice(QChoice(name: "a")))
        let scalars = try decode(QChoice.self, field(5, field(9, [0x61])) + hex(member) + field(4, []))
        #expect(scalars.value == .scalars(QScalars()))
        #expect(try decode(QChoice.self, field(5, field(9, [0x61])) + field(4, [])).value == .scalars(QScalars()))
    }

    /// Nothing is copied to merge, however deep.
    @Test func mergingTakesNoMemory() {
        var bytes: [UInt8] = field(1, [UInt8](repeating: 0x61, count: 100_000))
        for _ in 0..<90 { bytes = field(2, bytes) + field(2, []) }
        #expect(decodingError(QNode.self, bytes, limits: DecodeLimits(memory: 100_000))?.code == .tooLarge)
        #expect(decodingError(QNode.self, bytes, limits: DecodeLimits(memory: 110_000)) == nil)
    }
}
