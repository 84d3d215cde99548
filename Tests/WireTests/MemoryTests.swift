import Quirks
import Testing

@testable import FletchWire

/// The scanner's sum is an upper bound of what protobuf-c takes, and not a wild one.
@Suite struct MemoryTests {
    private func expectBounded<M: Message>(_ message: M, extra: [UInt8] = []) throws {
        let bytes = message.encoded() + extra
        let (bound, used) = try bytes.withUnsafeBytes { bytes in
            let bound = try Scanner.scan(bytes, as: M.descriptor, limits: DecodeLimits()).memory
            let arena = Arena(capacity: 16)
            defer { arena.destroy() }
            _ = try M.View(decoding: bytes, in: arena)
            return (bound, arena.state.pointee.overflowBytes - arena.state.pointee.available)
        }
        #expect(used <= bound)
        #expect(bound <= 2 * used + 512)
    }

    @Test(arguments: [0, 1, 3, 15, 16, 17, 31, 48, 49, 500])
    func bounds(count: Int) throws {
        let scalars = QScalars(aString: "some text", someBytes: [1])
        try expectBounded(QRepeated(int64S: [Int64](repeating: -1, count: count)))
        try expectBounded(QRepeated(bools: [Bool](repeating: true, count: count)))
        try expectBounded(QRepeated(floats: [Float](repeating: 1, count: count)))
        try expectBounded(QRepeated(unpacked: [Int32](repeating: 1, count: count)))
        try expectBounded(QRepeated(strings: [String](repeating: "seventeen letters", count: count)))
        try expectBounded(QRepeated(messages: [QScalars](repeating: scalars, count: count)))
        try expectBounded(QNode(children: [QNode](repeating: QNode(), count: count)))
        try expectBounded(QMaps(counts: Dictionary(uniqueKeysWithValues: (0..<count).map { ("\($0)", Int32($0)) })))
        try expectBounded(scalars, extra: (0..<count).flatMap { _ in hex("a00601 a206026869") })
        // One field over and over: every occurrence is copied.
        try expectBounded(scalars, extra: (0..<count).flatMap { _ in hex("4a026869") })
    }
}
