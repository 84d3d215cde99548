import Quirks
import Testing

@testable import FletchWire

/// A message may take as many bytes as the limit says and not one more; what it takes is in proportion to its fields.
@Suite struct MemoryTests {
    /// - Returns: the bytes that the decoded message takes.
    @discardableResult
    private func expectExact<M: Message>(_ message: M, extra: [UInt8] = []) throws -> Int {
        let bytes = message.encoded() + extra
        let capacity = 1 << 20
        let arena = Arena(capacity: capacity)
        defer { arena.destroy() }
        return try bytes.withUnsafeBytes { bytes in
            _ = try M.View(decoding: bytes, in: arena)
            let used = capacity - arena.state.pointee.available
            let exact = Arena(capacity: used, limit: 0)
            defer { exact.destroy() }
            _ = try M.View(decoding: bytes, in: exact, limits: DecodeLimits(memory: used))
            #expect(exact.state.pointee.available == 0)
            arena.reset()
            let tooLarge = WireError(
                .tooLarge, "\(M.descriptor.name) takes too much memory when decoded (limit: \(used - 1) bytes)")
            #expect {
                try M.View(decoding: bytes, in: arena, limits: DecodeLimits(memory: used - 1))
            } throws: { error in
                guard let error = error as? WireError, error.code == .tooLarge else { return false }
                return error == tooLarge || error.message.hasSuffix(tooLarge.message.drop { $0 != " " })
            }
            return used
        }
    }

    @Test(arguments: [0, 1, 3, 15, 16, 17, 31, 48, 49, 500])
    func limitsAreExact(count: Int) throws {
        let scalars = QScalars(aString: "some text", someBytes: [1])
        try expectExact(QRepeated(int64S: [Int64](repeating: -1, count: count)))
        try expectExact(QRepeated(bools: [Bool](repeating: true, count: count)))
        try expectExact(QRepeated(floats: [Float](repeating: 1, count: count)))
        try expectExact(QRepeated(unpacked: [Int32](repeating: 1, count: count)))
        try expectExact(QRepeated(strings: [String](repeating: "seventeen letters", count: count)))
        try expectExact(QRepeated(messages: [QScalars](repeating: scalars, count: count)))
        try expectExact(QNode(children: [QNode](repeating: QNode(), count: count)))
        try expectExact(QMaps(counts: Dictionary(uniqueKeysWithValues: (0..<count).map { ("\($0)", Int32($0)) })))
        try expectExact(scalars, extra: (0..<count).flatMap { _ in hex("a00601 a206026869") })
        // One field over and over: every occurrence is copied.
        try expectExact(scalars, extra: (0..<count).flatMap { _ in hex("4a026869") })
    }

    /// An array is allocated once where its elements are together, and grows by doubling where they are not.
    @Test func arraysTakeWhatTheyNeed() throws {
        let empty = try expectExact(QRepeated())
        let numbers = [Int64](repeating: 1, count: 1000)
        #expect(try expectExact(QRepeated(int64S: numbers)) == empty + 16 + 8000)
        let one = QRepeated(int64S: [1]).encoded()
        let other = hex("0801")
        for elements in [one, one + other, QRepeated(int64S: [1], unpacked: [1]).encoded()] {
            let apart = try expectExact(QRepeated(), extra: (0..<1000).flatMap { _ in elements })
            #expect(apart < empty + 4 * 1000 * (8 + 4 + elements.count) + 1024)
        }
    }

    /// What was appended to before a message occurs again is appended to once more.
    @Test func mergedArraysGrowByDoubling() throws {
        let occurrence = field(2, field(4, []) + hex("a00601"))
        let count = 10_000
        let bytes = (0..<count).flatMap { _ in occurrence }
        let node = try decode(QNode.self, bytes)
        #expect(node.left?.children.count == count && node.left?.unknownFields.bytes.count == 3 * count)
        let limits = DecodeLimits(memory: count * (QNode.descriptor.size + 16 + 4 * (8 + 3)))
        #expect(decodingError(QNode.self, bytes, limits: limits) == nil)
    }
}
