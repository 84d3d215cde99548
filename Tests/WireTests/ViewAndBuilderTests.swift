import Quirks
import FletchSchema
import Testing
import FletchWire

@Suite struct ViewAndBuilderTests {
    @Test func viewsReadInPlace() throws {
        let request = RelatedRequest(
            productID: "phone", productIds: ["a", "", "c"], sourceVector: [1, -0.0, 2.5], limit: 10,
            excludeProductIds: ["x"])
        try withArena { arena in
            try request.encoded().withUnsafeBytes { bytes in
                let view = try RelatedRequest.View(decoding: bytes, in: arena)
                #expect(view.productID == WireBytes("phone") && view.productID != WireBytes("phones"))
                #expect(view.productIds.map { String($0) } == ["a", "", "c"])
                #expect(Array(view.sourceVector.buffer) == [1, -0.0, 2.5])
                #expect(view.limit == 10)
                #expect(view.excludeProductIds.count == 1 && view.excludeProductIds[0] == WireBytes("x"))
                #expect(RelatedRequest(view) == request)
            }
        }
    }

    @Test func buildersMakeWhatValuesEncode() throws {
        let value = RelatedResponse(
            items: (0..<10).map { RelatedItem(productID: "product-\($0)", score: Float($0)) }, tableVersion: "7",
            path: .list)
        withArena { arena in
            let builder = RelatedResponse.Builder(in: arena)
            var items = builder.makeItems(capacity: 10)
            for index in 0..<10 {
                let item = items.append()
                item.productID = arena.copy("product-\(index)")
                item.score = Float(index)
            }
            builder.tableVersion = WireBytes("7")
            builder.path = .list
            #expect(builder.encodedSize == value.encoded().count)
            #expect(builder.encoded() == value.encoded())
            #expect(builder.items.count == 10 && builder.items[9].score == 9 && builder.path == .list)
        }
    }

    /// A message that fits the rest of the arena's block, one that does not, and one beyond the limit.
    @Test(arguments: [1, 20, 3000])
    func messagesAreEncodedInTheirArena(count: Int) {
        withArena(limit: 96 << 10) { arena in
            let values = [Int64](repeating: -1, count: count)
            let builder = QRepeated.Builder(in: arena)
            values.withUnsafeBufferPointer { values in
                builder.int64S = RepeatedView(values)
                let expected = builder.encoded()
                for _ in 0..<2 {
                    let bytes = builder.encodedInArena(headroom: 5)!
                    #expect(Array(bytes) == expected)
                    // What comes after has other memory, headroom included.
                    (bytes.baseAddress! - 5).copyMemory(from: [1, 2, 3, 4, 5] as [UInt8], byteCount: 5)
                    let next = arena.require(byteCount: 64)
                    next.initializeMemory(as: UInt8.self, repeating: 0xee, count: 64)
                    #expect(Array(bytes) == expected)
                    #expect(Array(UnsafeRawBufferPointer(start: bytes.baseAddress! - 5, count: 5)) == [1, 2, 3, 4, 5])
                }
                #expect((0..<9).contains { _ in builder.encodedInArena(headroom: 5) == nil } == (count == 3000))
            }
        }
    }

    @Test(arguments: [0, 1, 7, 100])
    func appendersGrow(capacity: Int) throws {
        try withArena { arena in
            let builder = QRepeated.Builder(in: arena)
            var strings = builder.makeStrings(capacity: capacity)
            var messages = builder.makeMessages(capacity: capacity)
            var bools = builder.makeBools(capacity: capacity)
            for index in 0..<50 {
                strings.append(arena.copy("\(index)"))
                messages.append().anInt32 = Int32(index)
                bools.append(index % 3 == 0)
            }
            var more = builder.makeStrings(capacity: 1)
            more.append(WireBytes("last"))
            let expected = QRepeated(
                bools: (0..<50).map { $0 % 3 == 0 }, strings: (0..<50).map { "\($0)" } + ["last"],
                messages: (0..<50).map { QScalars(anInt32: $0) })
            let decoded = try QRepeated(decoding: builder.encoded())
            #expect(decoded == expected)
        }
    }

    @Test func fieldsAreSetByReference() throws {
        try withArena { arena in
            let floats: [Float] = [1, 2, 3]
            try floats.withUnsafeBufferPointer { floats in
                let builder = QRepeated.Builder(in: arena)
                builder.floats = RepeatedView(floats)
                #expect(builder.floats.baseAddress == UnsafeRawPointer(floats.baseAddress))
                let decoded = try QRepeated(decoding: builder.encoded())
                #expect(decoded.floats == [1, 2, 3])
                // Appending copies what was referred to.
                var appender = builder.makeFloats(capacity: 0)
                appender.append(4)
                #expect(Array(builder.floats) == [1, 2, 3, 4] && floats.count == 3)
            }
        }
    }

    @Test func emptyBytesAreLeftOut() {
        withArena { arena in
            let builder = QScalars.Builder(in: arena)
            builder.aString = WireBytes(start: builder._pointer, count: 0)
            #expect(builder.encoded() == [])
            builder.aString = arena.copy("")
            #expect(builder.encoded() == [])
        }
    }

    @Test func presence() throws {
        try withArena { arena in
            let builder = QOptionals.Builder(in: arena)
            #expect(builder.aBool == nil && builder.aString == nil && builder.scalars == nil && builder.aFloat == nil)
            builder.aBool = false
            builder.aString = WireBytes()
            builder.aFloat = 0
            builder.makeScalars().aBool = true
            #expect(builder.aBool == false && builder.aString == WireBytes() && builder.aFloat == 0)
            let expected = QOptionals(aFloat: 0, aBool: false, aString: "", scalars: QScalars(aBool: true))
            let decoded = try QOptionals(decoding: builder.encoded())
            #expect(decoded == expected)
            builder.aBool = nil
            builder.aString = nil
            builder.aFloat = nil
            builder.scalars = nil
            #expect(builder.encoded() == [])
        }
    }

    @Test func oneofsInPlace() {
        withArena { arena in
            let builder = QChoice.Builder(in: arena)
            #expect(builder.value == nil)
            builder.value = .text(WireBytes("long enough to fill the room"))
            builder.value = .flag(true)
            if case .flag(true) = builder.value {} else { Issue.record("flag is set") }
            #expect(builder.encoded() == hex("1801"))
            builder.makeChoice().value = .number(5)
            #expect(builder.encoded() == hex("2a021005"))
            if case .choice(let choice) = builder.view.value, case .number(5) = choice.value {
            } else {
                Issue.record("choice is set")
            }
            builder.value = nil
            #expect(builder.encoded() == [])
        }
    }

    @Test func buildersGoBeyondTheArenasLimitVisibly() {
        withArena(limit: 1000) { arena in
            let builder = QRepeated.Builder(in: arena)
            var messages = builder.makeMessages(capacity: 100)
            for _ in 0..<100 { messages.append().aBool = true }
            #expect(builder.messages.count == 100 && arena.isExhausted)
        }
    }

    @Test func theManifestRoundTrips() throws {
        let manifest = Manifest(
            formatVersion: 1, name: "related-products", version: "3", kind: "related-products",
            schemaFingerprint: ManifestSchema.fingerprint, buildID: "fletch 0.1",
            files: [File(name: "a.safetensors", size: 1 << 40, headerXxh3: .max)],
            tensors: [
                Tensor(
                    name: "source", file: "a.safetensors", dtype: "F32", shape: [100, 64], offset: 4096, size: 25600,
                    xxh3: 7)
            ],
            metrics: [Metric(name: "hitRate@10", value: 0.4)], attributes: [Attribute(key: "seed", value: "1")],
            checksum: 9)
        #expect(try decode(Manifest.self, manifest.encoded()) == manifest)
    }
}
