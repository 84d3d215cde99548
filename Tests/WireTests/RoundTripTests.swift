import Quirks
import Testing
import FletchWire

/// Encodings made by Python's protobuf from the same messages.
@Suite struct RoundTripTests {
    @Test func scalars() throws {
        let message = QScalars(
            aDouble: 1.5, aFloat: -2.25, anInt64: -1, aUint64: .max, anInt32: -2, aFixed64: 1, aFixed32: 2,
            aBool: true, aString: "a\0bé", someBytes: [0, 0xff], aUint32: 300, anSfixed32: -3, anSfixed64: -4,
            anSint32: -5, anSint64: .min, level: .negative)
        let encoded = hex(
            """
            09000000000000f83f15000010c018ffffffffffffffffff0120ffffffffffffffffff0128feffffffffffffffff01\
            3101000000000000003d0200000040014a05610062c3a9520200ff58ac0265fdffffff69fcffffffffffffff7009\
            78ffffffffffffffffff018001ffffffffffffffffff01
            """)
        #expect(message.encoded() == encoded)
        #expect(try decode(QScalars.self, encoded) == message)
    }

    @Test func defaultsAreLeftOut() throws {
        #expect(QScalars().encoded() == [])
        #expect(try decode(QScalars.self, []) == QScalars())
        #expect(QEmpty().encoded() == [])
        #expect(try decode(QEmpty.self, []) == QEmpty())
        // Defaults that a peer writes all the same.
        #expect(try decode(QScalars.self, hex("0900000000000000001800 4a00 5200 4000")) == QScalars())
    }

    @Test func negativeZeroIsNoDefault() throws {
        let encoded = hex("0900000000000000801500000080")
        #expect(QScalars(aDouble: -0.0, aFloat: -0.0).encoded() == encoded)
        let message = try decode(QScalars.self, encoded)
        #expect(message.aDouble.sign == .minus && message.aFloat.sign == .minus)
    }

    @Test func optionalsKeepDefaults() throws {
        let message = QOptionals(
            aDouble: 0, aFloat: -0.0, anInt64: 0, aBool: false, aString: "", someBytes: [], level: .unspecified,
            scalars: QScalars())
        let encoded = hex("0900000000000000001500000080180040004a0052008001008a0100")
        #expect(message.encoded() == encoded)
        #expect(try decode(QOptionals.self, encoded) == message)
        #expect(try decode(QOptionals.self, []) == QOptionals())
        #expect(try decode(QOptionals.self, hex("4001")).aBool == true)
    }

    @Test func repeated() throws {
        let message = QRepeated(
            doubles: [1, -0.0], floats: [0.5], int64S: [-1, 1], uint64S: [1 << 63], int32S: [-1, 0, 1, 128],
            fixed64S: [7], fixed32S: [8, 9], bools: [true, false, true], strings: ["", "x"], bytesList: [[], [0]],
            uint32S: [.max], sfixed32S: [-1], sfixed64S: [-1], sint32S: [-1, 1], sint64S: [-2],
            levels: [.low, .negative, QLevel(rawValue: 77)], messages: [QScalars(), QScalars(aBool: true)],
            unpacked: [1, 2])
        let encoded = hex(
            """
            0a10000000000000f03f000000000000008012040000003f1a0bffffffffffffffffff0101220a808080808080808080012a0e\
            ffffffffffffffffff0100018001320807000000000000003a08080000000900000042030100014a004a017852005201005a05\
            ffffffff0f6204ffffffff6a08ffffffffffffffff720201027a010382010c01ffffffffffffffffff014d8a01008a01024001\
            900101900102
            """)
        #expect(message.encoded() == encoded)
        #expect(try decode(QRepeated.self, encoded) == message)
    }

    @Test func packedAndUnpackedAreReadEitherWay() throws {
        // int32s, one by one, then packed, then one more; `unpacked`, packed.
        let message = try decode(QRepeated.self, hex("2801 2a020203 2804 920102 0506"))
        #expect(message == QRepeated(int32S: [1, 2, 3, 4], unpacked: [5, 6]))
        #expect(try decode(QRepeated.self, hex("150000803f")).floats == [1])
        #expect(try decode(QRepeated.self, hex("4001 4000 420101")).bools == [true, false, true])
        #expect(try decode(QRepeated.self, hex("2a00")) == QRepeated())
    }

    @Test func oneofs() throws {
        let nested = QChoice(name: "n", value: .choice(QChoice(value: .text(""))))
        #expect(nested.encoded() == hex("2a020a004a016e"))
        #expect(try decode(QChoice.self, hex("2a020a004a016e")) == nested)
        #expect(QChoice(value: .real(0)).encoded() == hex("410000000000000000"))
        for value: QChoice.OneOf_Value in [
            .text("t"), .number(-1), .flag(false), .scalars(QScalars(aBool: true)), .level(.high), .raw([]), .raw([1]),
            .real(-0.0),
        ] {
            #expect(try decode(QChoice.self, QChoice(value: value).encoded()).value == value)
        }
    }

    @Test func theLastMemberOfAOneofWins() throws {
        // Every member over every other: text, number, flag, scalars, raw, real.
        let members = [
            hex("0a0174"), hex("1005"), hex("1801"), hex("22024001"), hex("3a0109"), hex("41000000000000f03f"),
        ]
        for first in members {
            for last in members {
                #expect(try decode(QChoice.self, first + last) == decode(QChoice.self, last))
            }
        }
    }

    @Test func maps() throws {
        let message = QMaps(
            counts: ["b": 2, "a": 1, "": 0], scalars: [5: QScalars(aBool: true), -1: QScalars()],
            levels: [true: .low, false: .high], blobs: ["k": [0]])
        let encoded = hex(
            """
            0a050a016110010a050a016210020a040a001000120d08ffffffffffffffffff01120012060805120240011a04080110011a04\
            0800100222060a016b120100
            """)
        #expect(try decode(QMaps.self, encoded) == message)
        #expect(try decode(QMaps.self, message.encoded()) == message)
        #expect(QMaps(counts: ["b": 2, "a": 1]).encoded() == hex("0a050a016110010a050a01621002"))
        // The last entry of a key counts; an entry without a value has the default.
        #expect(try decode(QMaps.self, hex("0a050a01611001 0a050a01611002")).counts == ["a": 2])
        #expect(try decode(QMaps.self, hex("12020803")).scalars == [3: QScalars()])
    }

    @Test func messagesThatContainThemselves() throws {
        let tree = QNode(value: "r", left: QNode(value: "l"), children: [QNode(), QNode(right: QNode())])
        #expect(tree.encoded() == hex("0a017212030a016c220022021a00"))
        #expect(try decode(QNode.self, tree.encoded()) == tree)
        let ping = QPing(pong: QPong(ping: QPing(pong: QPong(count: 3))))
        #expect(try decode(QPing.self, ping.encoded()) == ping)
    }

    @Test func importedTypesAndDistantNumbers() throws {
        let imports = QImports(colour: Quirks_Imported_Colour(rgb: 0xffffff), size: .small)
        #expect(imports.encoded() == hex("0a0508ffffff071001"))
        #expect(try decode(QImports.self, imports.encoded()) == imports)
        let numbers = QNumbers(low: 1, lastOfTwoBytes: 2, highest: 3)
        #expect(numbers.encoded() == hex("0801f87f02f8ffffff0f03"))
        #expect(try decode(QNumbers.self, numbers.encoded()) == numbers)
    }

    @Test func enumsAreOpen() throws {
        let level = try decode(QScalars.self, hex("80014d")).level
        #expect(level.rawValue == 77 && level.name == nil && "\(level)" == "77")
        #expect(QScalars(level: level).encoded() == hex("80014d"))
        #expect(QLevel.small == QLevel.low && "\(QLevel.small)" == "LEVEL_LOW")
        #expect(QLevel.allCases == [.unspecified, .low, .high, .negative])
    }

    @Test func lengthsOfPackedFieldsGrow() throws {
        // Where a run's length takes one byte more than its count does, protobuf-c moves what it wrote.
        for count in [1, 12, 13, 127, 128, 1638, 1639, 16383, 16384] {
            let message = QRepeated(
                int64S: [Int64](repeating: -1, count: count), bools: [Bool](repeating: true, count: count))
            #expect(try QRepeated(decoding: message.encoded()) == message)
        }
    }

    /// Varints may be longer than need be; what a type has no room for is cut off.
    @Test func longVarints() throws {
        #expect(try decode(QScalars.self, hex("28 ffffffffffffffffff01")).anInt32 == -1)
        #expect(try decode(QScalars.self, hex("28 8180808010")).anInt32 == 1)
        #expect(try decode(QScalars.self, hex("58 ffffffffffffffffff01")).aUint32 == .max)
        #expect(try decode(QScalars.self, hex("70 8380808010")).anSint32 == -2)
        #expect(try decode(QScalars.self, hex("18 8180808080808080807e")).anInt64 == 1)
        #expect(try decode(QScalars.self, hex("18 8100")).anInt64 == 1)
        #expect(try decode(QScalars.self, hex("8001 8080808008")).level.rawValue == .min)
        #expect(try decode(QScalars.self, hex("8001 80808080f8ffffffff01")).level.rawValue == .min)
        #expect(QScalars(level: QLevel(rawValue: .min)).encoded() == hex("8001 80808080f8ffffffff01"))
        // Tags and lengths of up to five bytes.
        #expect(
            try decode(QScalars.self, hex("9880808000 05 ca80808000 8180808000 61"))
                == QScalars(anInt64: 5, aString: "a"))
        #expect(try decode(QRepeated.self, hex("2a 0b ffffffffffffffffff01 05")).int32S == [-1, 5])
    }

    /// A bool is true where any of 64 bits is set; the last of ten bytes has only one of them.
    @Test func longBools() throws {
        for (bytes, value) in [
            ("00", false), ("01", true), ("02", true), ("8000", false), ("8001", true), ("80808080808080808000", false),
            ("80808080808080808001", true), ("80808080808080808002", false), ("8080808080808080807e", false),
            ("8080808080808080807f", true), ("8080808080c080808000", true), ("ffffffffffffffffff01", true),
        ] {
            #expect(try decode(QScalars.self, hex("40" + bytes)).aBool == value, "\(bytes)")
            let run = hex(bytes + "01" + bytes + "00")
            #expect(try decode(QRepeated.self, field(8, run)).bools == [value, true, value, false], "\(bytes)")
            #expect(try decode(QChoice.self, hex("18" + bytes)).value == .flag(value))
        }
    }

    /// The last one counts.
    @Test func scalarsThatOccurTwice() throws {
        #expect(try decode(QScalars.self, hex("1805 4a0161 1806 4a0162")) == QScalars(anInt64: 6, aString: "b"))
        #expect(try decode(QScalars.self, hex("1805 4a0161 1800 4a00")) == QScalars())
        #expect(try decode(QOptionals.self, hex("1805 1800")).anInt64 == 0)
    }

    /// NaN keeps its bits.
    @Test func bitsOfFloatingPointNumbers() throws {
        let encoded = hex("09 010000000000f07f 15 0100807f")
        #expect(try decode(QScalars.self, encoded).encoded() == encoded)
        let repeated = hex("0a10 010000000000f07f 0000000000000080 1208 0100807f 00000080")
        #expect(try decode(QRepeated.self, repeated).encoded() == repeated)
    }
}
