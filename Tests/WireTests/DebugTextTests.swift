import FletchWire
import Quirks
import Testing

@Suite struct DebugTextTests {
    @Test func fieldsThatAreSetUnderTheirNames() {
        let scalars = QScalars(
            aDouble: 0.5, aFloat: -1, anInt64: -2, aUint64: .max, anInt32: -3, aFixed64: .max, aFixed32: .max,
            aBool: true, aString: "é", someBytes: [0, 0x41, 0xff], aUint32: .max, anSfixed32: -4, anSfixed64: -5,
            anSint32: -6, anSint64: -7, level: QLevel(rawValue: 9))
        #expect(
            scalars.debugDescription == """
                a_double: 0.5 a_float: -1.0 an_int64: -2 a_uint64: 18446744073709551615 an_int32: -3 \
                a_fixed64: 18446744073709551615 a_fixed32: 4294967295 a_bool: true a_string: "é" \
                some_bytes: "\\000A\\377" a_uint32: 4294967295 an_sfixed32: -4 an_sfixed64: -5 an_sint32: -6 \
                an_sint64: -7 level: 9
                """)
        #expect("\(QScalars(anInt32: 1))" == "an_int32: 1")
        #expect(QScalars().debugDescription == "")
    }

    @Test func presenceShows() {
        let message = QOptionals(aFloat: 0, aString: "", scalars: QScalars())
        #expect(message.debugDescription == "a_float: 0.0 a_string: \"\" scalars {}")
        #expect(QChoice(name: "n", value: .flag(false)).debugDescription == "flag: false name: \"n\"")
    }

    @Test func repeatedFieldsAndMaps() {
        let message = QRepeated(
            bools: [true, false], strings: ["a", ""], messages: [QScalars(aBool: true), QScalars()], unpacked: [1])
        #expect(
            message.debugDescription
                == #"bools: [true, false] strings: ["a", ""] messages { a_bool: true } messages {} unpacked: [1]"#)
        #expect(
            QMaps(counts: ["b": 2, "a": 1]).debugDescription
                == #"counts { key: "a" value: 1 } counts { key: "b" value: 2 }"#)
    }

    @Test func stringsAreEscaped() {
        let text = QScalars(aString: "\"\\\n\r\t\u{1}\u{7f}").debugDescription
        #expect(text == #"a_string: "\"\\\n\r\t\001\177""#)
    }

    @Test func unknownFieldsAreCounted() throws {
        let message = try QNode(decoding: field(1, Array("x".utf8)) + field(14, [1]))
        #expect(message.debugDescription == #"value: "x" [unknown: 3 bytes]"#)
    }

    @Test func viewsReadAsTheirMessages() {
        withArena { arena in
            let builder = QNode.Builder(in: arena)
            builder.makeLeft().value = WireBytes("x")
            #expect("\(builder.view)" == #"left { value: "x" }"#)
        }
    }

    /// Cut between characters, however long or deep a message is.
    @Test func hugeMessagesAreCut() {
        for padding in 0..<3 {
            let text = QScalars(aString: String(repeating: "a", count: padding) + String(repeating: "é", count: 9000))
                .debugDescription
            #expect(text.hasSuffix("é...") && (4090...4099).contains(text.utf8.count))
        }
        var node = QNode(value: "leaf")
        for _ in 0..<2000 { node = QNode(left: node) }
        #expect(node.debugDescription.hasPrefix("left { left { ") && node.debugDescription.utf8.count == 4099)
        #expect(QRepeated(int32S: Array(0..<100_000)).debugDescription.hasSuffix("..."))
        #expect(QScalars(aString: String(repeating: "a", count: 4096 - 12)).debugDescription.hasSuffix("a\""))
    }
}
