internal import CProtobufC

/// Fields that a message carried and its schema does not name, in their encoded form: kept so that a program with an
/// older schema passes them on.
public struct UnknownFields: Sendable, Hashable {
    /// The fields, tags included, as they follow the known fields of an encoded message.
    public private(set) var bytes: [UInt8]

    /// No fields.
    public init() { bytes = [] }

    /// Copies the unknown fields of a message in an arena.
    public init<View: MessageView>(_ view: View) {
        let message = view._pointer.assumingMemoryBound(to: ProtobufCMessage.self).pointee
        bytes = []
        for field in UnsafeBufferPointer(start: message.unknown_fields, count: Int(message.n_unknown_fields)) {
            bytes.appendVarint(UInt64(field.tag) << 3 | UInt64(field.wire_type.rawValue))
            bytes += UnsafeBufferPointer(start: field.data, count: field.len)
        }
    }

    /// Copies the fields into a message in an arena.
    public func copy<Builder: MessageBuilder>(into builder: Builder) {
        guard !bytes.isEmpty else { return }
        let copy = builder._arena.copy(bytes).buffer.bindMemory(to: UInt8.self)
        guard let field = ProtobufCMessageUnknownField(fields: copy) else { return }
        let record = builder._arena.require(byteCount: MemoryLayout<ProtobufCMessageUnknownField>.size)
            .bindMemory(to: ProtobufCMessageUnknownField.self, capacity: 1)
        record.initialize(to: field)
        let message = builder._pointer.assumingMemoryBound(to: ProtobufCMessage.self)
        message.pointee.n_unknown_fields = 1
        message.pointee.unknown_fields = record
    }
}
