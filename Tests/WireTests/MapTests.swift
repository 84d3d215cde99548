import FletchWire
import Quirks
import Testing

@Suite struct MapTests {
    private func counts(_ entries: [(String, Int32)]) -> [UInt8] {
        entries.flatMap { key, value in
            field(1, field(1, Array(key.utf8)) + [0x10] + varint(Int(value)))
        }
    }

    /// Swift has a canonically composed e with accent behind f; its bytes decomposed are before.
    @Test func stringsAreOrderedByTheirBytes() {
        let keys = ["", "a", "aa", "e", "e\u{301}", "f", "\u{7f}", "é", "\u{ffff}", "\u{10000}"]
        let message = QMaps(counts: Dictionary(uniqueKeysWithValues: keys.filter { $0 != "é" }.map { ($0, 1) }))
        #expect(message.encoded() == counts(keys.filter { $0 != "é" }.map { ($0, 1) }))
        #expect("e\u{301}" > "f")
    }

    @Test func numbersAreOrderedByTheirValues() {
        let keys: [Int64] = [.min, -5, -1, 0, 1, 200, .max]
        let message = QMaps(scalars: Dictionary(uniqueKeysWithValues: keys.shuffled().map { ($0, QScalars()) }))
        withArena { arena in
            let builder = QMaps.Builder(in: arena)
            message.copy(into: builder)
            #expect(builder.view.scalars.map { $0.key } == keys)
        }
        #expect(QMaps(levels: [true: .low, false: .high]).encoded() == hex("1a0408001002 1a0408011001"))
    }

    @Test(arguments: [0, 1, 63, 64, 65, 1000])
    func equalValuesHaveEqualEncodings(count: Int) throws {
        let keys = (0..<count).map { "key \($0)" }
        let one = QMaps(counts: Dictionary(uniqueKeysWithValues: keys.map { ($0, 7) }))
        var other = QMaps()
        for key in keys.shuffled() { other.counts[key] = 7 }
        #expect(one.encoded() == other.encoded())
        #expect(one.encoded() == counts(keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { ($0, 7) }))
        #expect(try decode(QMaps.self, one.encoded()) == one)
    }

    /// Two keys to the wire, one to Swift: the first is in the dictionary, the other is passed on.
    @Test func equivalentKeysAreKept() throws {
        let both = counts([("e\u{301}", 2), ("é", 1)])
        let message = try decode(QMaps.self, both)
        #expect(message.counts == ["é": 2])
        #expect(message.unknownFields.bytes == counts([("é", 1)]))
        #expect(message.encoded() == both)
        #expect(try decode(QMaps.self, both + hex("a00601")).unknownFields.bytes == hex("a00601") + counts([("é", 1)]))
        // The last entry of the same bytes counts, as ever.
        let again = try decode(QMaps.self, both + counts([("e\u{301}", 3)]))
        #expect(again.counts == ["é": 3] && again.unknownFields.bytes == counts([("é", 1)]))
        // The Kelvin sign is equivalent to a letter of ASCII.
        let kelvin = counts([("K", 1), ("\u{212a}", 2)])
        #expect(try decode(QMaps.self, kelvin).encoded() == kelvin)
        let blobs = field(4, hex("0a02c3a9 120101")) + field(4, hex("0a0365cc81 120102"))
        #expect(try decode(QMaps.self, blobs).encoded() == blobs)
    }

    @Test func wireBytesAreOrdered() {
        let bytes: [WireBytes] = ["", "a", "aa", "ab", "b", "\u{e9}"].map { (text: StaticString) in WireBytes(text) }
        for (left, first) in bytes.enumerated() {
            for (right, second) in bytes.enumerated() {
                #expect((first < second) == (left < right))
            }
        }
    }
}
