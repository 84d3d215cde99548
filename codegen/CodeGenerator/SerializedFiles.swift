/// The files of a request as protoc encoded them. Generated messages would not do: they know a part of the descriptors'
/// fields, and without proto2's presence they drop what is set to its default.
enum SerializedFiles {
    /// `CodeGeneratorRequest.proto_file` and `FileDescriptorProto.source_code_info`.
    private static let protoFile: UInt64 = 15
    private static let sourceCodeInfo: UInt64 = 9

    /// The `FileDescriptorProto`s of an encoded `CodeGeneratorRequest`, each without its comments.
    ///
    /// - Precondition: The request was decoded before, and so is well-formed.
    static func of(request: [UInt8]) -> [[UInt8]] {
        fields(of: request[...]).filter { $0.number == protoFile }.map { withoutSourceCodeInfo($0.content) }
    }

    private static func withoutSourceCodeInfo(_ file: ArraySlice<UInt8>) -> [UInt8] {
        fields(of: file).filter { $0.number != sourceCodeInfo }.flatMap(\.encoded)
    }

    private struct Field {
        let number: UInt64
        /// The whole field, with its tag.
        let encoded: ArraySlice<UInt8>
        /// Its value; without the length where it has one.
        let content: ArraySlice<UInt8>
    }

    private static func fields(of message: ArraySlice<UInt8>) -> [Field] {
        var fields: [Field] = []
        var rest = message
        while !rest.isEmpty {
            let start = rest.startIndex
            let tag = takeVarint(&rest)
            let content = takeContent(tag & 7, &rest)
            fields.append(Field(number: tag >> 3, encoded: message[start..<rest.startIndex], content: content))
        }
        return fields
    }

    /// The value of a field of the wire type; of a group all that is up to its end.
    private static func takeContent(_ wireType: UInt64, _ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        switch wireType {
        case 0:
            let start = rest
            _ = takeVarint(&rest)
            return start[..<rest.startIndex]
        case 1: return take(8, &rest)
        case 2: return take(Int(takeVarint(&rest)), &rest)
        case 3:
            let start = rest
            while case let tag = takeVarint(&rest), tag & 7 != 4 { _ = takeContent(tag & 7, &rest) }
            return start[..<rest.startIndex]
        case 5: return take(4, &rest)
        default: preconditionFailure("the decoder took a broken group")
        }
    }

    private static func take(_ count: Int, _ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func takeVarint(_ rest: inout ArraySlice<UInt8>) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let byte = rest.popFirst() {
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        return value
    }
}
