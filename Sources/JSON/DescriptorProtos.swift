// The parts of descriptor.proto that JSON needs, read from the bytes: generated messages of it would be proto2's.

/// `FileDescriptorProto`: its messages and enums, nested ones too, by their full names.
struct FileProto {
    private(set) var messages: [MessageProto] = []
    private(set) var enums: [EnumProto] = []

    /// Files of another syntax than proto3 have no types here.
    init(_ bytes: [UInt8]) throws(JSONError) {
        var package = ""
        var syntax = ""
        var messages: [ArraySlice<UInt8>] = []
        var enums: [ArraySlice<UInt8>] = []
        var reader = WireReader(bytes[...])
        while let (number, value) = try reader.next() {
            switch (number, value) {
            case (2, .bytes(let bytes)): package = String(decoding: bytes, as: UTF8.self)
            case (4, .bytes(let bytes)): messages.append(bytes)
            case (5, .bytes(let bytes)): enums.append(bytes)
            case (12, .bytes(let bytes)): syntax = String(decoding: bytes, as: UTF8.self)
            default: break
            }
        }
        guard syntax == "proto3" else { return }
        let scope = package.isEmpty ? "" : package + "."
        for message in messages { try add(message, scope: scope) }
        for enumeration in enums { self.enums.append(try EnumProto(enumeration, scope: scope)) }
    }

    private mutating func add(_ bytes: ArraySlice<UInt8>, scope: String) throws(JSONError) {
        let message = try MessageProto(bytes, scope: scope)
        messages.append(message)
        for nested in message.nested { try add(nested, scope: message.name + ".") }
        for enumeration in message.enums { enums.append(try EnumProto(enumeration, scope: message.name + ".")) }
    }
}

/// `DescriptorProto`.
struct MessageProto {
    /// The full name.
    private(set) var name = ""
    private(set) var fields: [FieldProto] = []
    private(set) var isMapEntry = false
    private(set) var nested: [ArraySlice<UInt8>] = []
    private(set) var enums: [ArraySlice<UInt8>] = []

    init(_ bytes: ArraySlice<UInt8>, scope: String) throws(JSONError) {
        var reader = WireReader(bytes)
        while let (number, value) = try reader.next() {
            switch (number, value) {
            case (1, .bytes(let bytes)): name = scope + String(decoding: bytes, as: UTF8.self)
            case (2, .bytes(let bytes)): fields.append(try FieldProto(bytes))
            case (3, .bytes(let bytes)): nested.append(bytes)
            case (4, .bytes(let bytes)): enums.append(bytes)
            case (7, .bytes(let options)): isMapEntry = try flag(7, in: options) ?? false
            default: break
            }
        }
    }
}

/// `FieldDescriptorProto`.
struct FieldProto {
    private(set) var name = ""
    private(set) var jsonName = ""
    private(set) var number: UInt32 = 0
    /// The number in `FieldDescriptorProto.Type`.
    private(set) var type: UInt64 = 0
    /// The full name of the message or enum.
    private(set) var typeName = ""
    private(set) var isRepeated = false
    private(set) var oneof: Int?
    /// proto3's `optional`, for which protoc makes a oneof of its own.
    private(set) var isOptional = false
    private(set) var packed: Bool?

    init(_ bytes: ArraySlice<UInt8>) throws(JSONError) {
        let repeatedLabel: UInt64 = 3
        var reader = WireReader(bytes)
        while let (number, value) = try reader.next() {
            switch (number, value) {
            case (1, .bytes(let bytes)): name = String(decoding: bytes, as: UTF8.self)
            case (3, .varint(let value)): self.number = UInt32(truncatingIfNeeded: value)
            case (4, .varint(let value)): isRepeated = value == repeatedLabel
            case (5, .varint(let value)): type = value
            // With a dot in front, as protoc resolves every name.
            case (6, .bytes(let bytes)): typeName = String(decoding: bytes.dropFirst(), as: UTF8.self)
            case (8, .bytes(let options)): packed = try flag(2, in: options)
            case (9, .varint(let value)): oneof = Int(truncatingIfNeeded: value)
            case (10, .bytes(let bytes)): jsonName = String(decoding: bytes, as: UTF8.self)
            case (17, .varint(let value)): isOptional = value != 0
            default: break
            }
        }
    }
}

/// `EnumDescriptorProto`.
struct EnumProto {
    /// The full name.
    private(set) var name = ""
    private(set) var values: [(name: String, number: Int32)] = []

    init(_ bytes: ArraySlice<UInt8>, scope: String) throws(JSONError) {
        var reader = WireReader(bytes)
        while let (number, value) = try reader.next() {
            switch (number, value) {
            case (1, .bytes(let bytes)): name = scope + String(decoding: bytes, as: UTF8.self)
            case (2, .bytes(let bytes)): values.append(try Self.value(bytes))
            default: break
            }
        }
    }

    private static func value(_ bytes: ArraySlice<UInt8>) throws(JSONError) -> (name: String, number: Int32) {
        var name = ""
        var number: Int32 = 0
        var reader = WireReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let bytes)): name = String(decoding: bytes, as: UTF8.self)
            case (2, .varint(let value)): number = Int32(truncatingIfNeeded: value)
            default: break
            }
        }
        return (name, number)
    }
}

/// A bool of an options message.
private func flag(_ number: UInt32, in options: ArraySlice<UInt8>) throws(JSONError) -> Bool? {
    var flag: Bool?
    var reader = WireReader(options)
    while let (field, value) = try reader.next() {
        if field == number, case .varint(let value) = value { flag = value != 0 }
    }
    return flag
}
