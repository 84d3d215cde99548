import Quirks
import Testing

@testable import FletchWire

@Suite struct EncoderTests {
    /// Messages with every form of value and of presence, by their encodings, with unknown fields at the end.
    private static let messages: [(MessageDescriptor, [UInt8])] = [
        (
            QScalars.descriptor,
            QScalars(
                aDouble: 1.5, anInt64: -1, anInt32: -2, aFixed32: 2, aBool: true, aString: "text", aUint32: 300,
                anSint32: -500, anSint64: .min
            ).encoded() + hex("fa7f0361626380800107")
        ),
        (QOptionals.descriptor, QOptionals(aFloat: -0.0, aBool: false, aString: "", scalars: QScalars()).encoded()),
        (
            QRepeated.descriptor,
            QRepeated(
                floats: [1, 2], int32S: [-1, 0, 200], bools: [true, false], strings: ["", "x"],
                messages: [QScalars(aBool: true)], unpacked: [1, 300]
            ).encoded()
        ),
        (QChoice.descriptor, QChoice(name: "n", value: .choice(QChoice(value: .text("")))).encoded()),
    ]

    /// In all rooms that are too small nothing is written outside, in the right one all bytes.
    @Test(arguments: messages.indices)
    func staysWithinItsRoom(index: Int) throws {
        let (type, encoded) = Self.messages[index]
        try withArena { arena in
            let message = try encoded.withUnsafeBytes { try decode($0, as: type, in: arena, limits: DecodeLimits()) }
            for size in 0...encoded.count + 3 {
                var memory = [UInt8](repeating: 0xee, count: size + 16)
                memory.withUnsafeMutableBytes { memory in
                    let room = UnsafeMutableRawBufferPointer(rebasing: memory[8..<size + 8])
                    let bytes = encode(message, as: type, into: room)
                    #expect(bytes.map { Array($0) } == (size < encoded.count ? nil : encoded))
                    #expect(memory[..<8].allSatisfy { $0 == 0xee } && memory[(size + 8)...].allSatisfy { $0 == 0xee })
                }
            }
        }
    }

    @Test func varintsOfEveryLength() throws {
        for shift in 0..<64 {
            for value: UInt64 in [1 << shift, (1 << shift) &- 1, .max >> UInt64(shift)] where value != 0 {
                let message = QRepeated(uint64S: [value, value])
                #expect(try decode(QRepeated.self, message.encoded()) == message)
            }
        }
    }
}
