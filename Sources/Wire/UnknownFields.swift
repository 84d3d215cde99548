internal import CProtobufC

/// Fields that a message carried and its schema does not name, in their encoded form: kept so that a program with an
/// older schema passes them on.
public struct UnknownFields: Sendable, Hashable {
    /// The fields, tags included, as they follow the known fields of an encoded message.
    @inlinable public var bytes: [UInt8] { storage }
    @usableFromInline var storage: [UInt8]

    /// No fields.
    @inlinable
    public init() { storage = [] }

    /// Copies the unknown fields of a message in an arena.
    @inlinable
    public init<View: MessageView>(_ view: View) {
        // Behind the descriptor protobuf-c has their count.
        let count = view._pointer.load(fromByteOffset: MemoryLayout<UnsafeRawPointer>.size, as: UInt32.self)
        if count == 0 { self.init() } else { self.init(_of: view._pointer) }
    }

    @usableFromInline
    init(_of message: UnsafeRawPointer) {
        let message = message.assumingMemoryBound(to: ProtobufCMessage.self).pointee
        storage = []
        for field in UnsafeBufferPointer(start: message.unknown_fields, count: Int(message.n_unknown_fields)) {
            storage.appendTag(field.tag, UInt8(field.wire_type.rawValue))
            storage += UnsafeBufferPointer(start: field.data, count: field.len)
        }
    }

    /// Adds a length-prefixed field.
    @usableFromInline
    mutating func append(_ number: UInt32, _ payload: [UInt8]) { storage.appendField(number, payload) }

    /// Copies the fields into a message in an arena.
    public func copy<Builder: MessageBuilder>(into builder: Builder) {
        guard !bytes.isEmpty else { return }
        let copy = builder._arena.copy(bytes).buffer.bindMemory(to: UInt8.self)
        guard var cursor = copy.baseAddress.map({ UnsafePointer($0) }) else { return }
        let end = cursor + copy.count
        guard let tag = readTag(&cursor, end) else { return }
        var field = ProtobufCMessageUnknownField(tag: tag)
        field.len = end - cursor
        field.data = UnsafeMutablePointer(mutating: cursor)
        let record = builder._arena.require(byteCount: MemoryLayout<ProtobufCMessageUnknownField>.size)
            .bindMemory(to: ProtobufCMessageUnknownField.self, capacity: 1)
        record.initialize(to: field)
        let message = builder._pointer.assumingMemoryBound(to: ProtobufCMessage.self)
        message.pointee.n_unknown_fields = 1
        message.pointee.unknown_fields = record
    }
}

extension Dictionary where Key == String {
    /// For generated code: sets what a decoded entry of a map field says.
    ///
    /// Keys on the wire differ where their bytes do, but Swift takes Strings for equal that are canonically equivalent
    /// (https://www.unicode.org/reports/tr15/). Of several such keys the dictionary has the first one; entries of the
    /// others stay unknown fields, so that they are passed on.
    @inlinable
    public mutating func _set(
        _ value: Value, forKey key: WireBytes, of entry: some MessageView, number: UInt32,
        in unknownFields: inout UnknownFields
    ) {
        let key = String(key)
        guard let previous = updateValue(value, forKey: key) else { return }
        // The dictionary still has the first key.
        guard let index = index(forKey: key), !keys[index].utf8.elementsEqual(key.utf8) else { return }
        values[index] = previous
        unknownFields.append(number, entry.encoded())
    }
}

extension ProtobufCMessageUnknownField {
    /// One record for any number of fields: protobuf-c writes a field's tag and then its data as they are, so all further
    /// fields can be in the first one's data.
    init(tag: UInt32) {
        self.init(tag: tag >> 3, wire_type: ProtobufCWireType(rawValue: tag & 7), len: 0, data: nil)
    }
}

extension [UInt8] {
    fileprivate mutating func appendVarint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        append(UInt8(value))
    }

    /// Appends a length-prefixed field.
    fileprivate mutating func appendField(_ number: UInt32, _ payload: [UInt8]) {
        appendTag(number, WireType.lengthPrefixed.rawValue)
        appendVarint(UInt64(payload.count))
        self += payload
    }

    fileprivate mutating func appendTag(_ number: UInt32, _ wireType: UInt8) {
        appendVarint(UInt64(number) << 3 | UInt64(wireType))
    }
}
