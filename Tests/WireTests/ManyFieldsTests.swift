import Testing

@testable import FletchWire

/// Many fields, with numbers beyond the table of small ones.
@Suite struct ManyFieldsTests {
    private static let count = 300

    /// Each field is a message of the type itself; numbers have gaps, and go beyond the table of small ones.
    private static let type: MessageDescriptor = {
        let fields = (0..<count).map { index in
            FieldDefinition(
                UInt32(index + 1 + index / 10), "child", .message(.index(0)), .implicit, offset: 24 + 8 * index)
        }
        let file = FileDescriptor(
            name: "wide.proto", fingerprint: "", dependencies: [], symbols: ["test.Wide"], serialized: "")
        let definition = MessageDefinition("test.Wide", size: 24 + 8 * count, fields: fields)
        return MessageDescriptor.define(in: file, [definition])[0]
    }()

    private func field(_ index: Int, _ payload: [UInt8] = []) -> [UInt8] {
        varint((index + 1 + index / 10) << 3 | 2) + varint(payload.count) + payload
    }

    /// What the bytes decode to, encoded again.
    private func reencoded(_ bytes: [UInt8]) throws -> [UInt8] {
        let arena = Arena(capacity: 16)
        defer { arena.destroy() }
        return try bytes.withUnsafeBytes { bytes in
            let message = try decode(bytes, as: Self.type, in: arena, limits: DecodeLimits())
            return [UInt8](arena.encode(message, as: Self.type, headroom: 0)!)
        }
    }

    @Test func everyFieldIsFound() throws {
        for index in 0..<Self.count {
            let bytes = field(index, field(Self.count - 1 - index))
            #expect(try reencoded(bytes) == bytes)
        }
        let all = (0..<Self.count).flatMap { field($0) }
        #expect(try reencoded(all) == all)
        // The numbers between are unknown.
        let unknown = varint(11 << 3 | 2) + [0]
        #expect(try reencoded(unknown + field(0)) == field(0) + unknown)
    }

    @Test func fieldsAreMergedApart() throws {
        let bytes = field(70, field(1)) + field(71, field(2)) + field(70, field(3)) + field(299, field(4))
        #expect(
            try reencoded(bytes) == field(70, field(1) + field(3)) + field(71, field(2)) + field(299, field(4)))
    }
}
