public import FletchWire

/// The JSON mapping of proto3 (https://protobuf.dev/programming-guides/json/) between text and encoded messages.
public enum JSONTranscoder {
    /// An encoded message as JSON in UTF-8. Fields that the schema does not name are left out.
    ///
    /// - Throws: Where the bytes are no message of the type, or hold what JSON has no form for: a time out of range, an
    ///   `Any` of an unknown type.
    public static func json(
        _ encoded: [UInt8], of type: MessageDescriptor, options: JSONEncodingOptions = JSONEncodingOptions()
    ) throws(JSONError) -> [UInt8] {
        let fileTypes = FileTypes.of(type.file)
        var printer = MessagePrinter(fileTypes, options)
        do {
            try printer.print(try messageType(type, fileTypes), encoded[...])
        } catch {
            throw error.at(printer.path)
        }
        return printer.text
    }

    /// The encoded message that JSON in UTF-8 stands for: fields in the order of their numbers, entries of maps in
    /// the order of their keys.
    ///
    /// - Throws: Where the text is not JSON or does not fit the schema; the error names the path to what is wrong.
    public static func encoded(
        _ json: [UInt8], of type: MessageDescriptor, options: JSONDecodingOptions = JSONDecodingOptions()
    ) throws(JSONError) -> [UInt8] {
        guard json.count <= options.textSizeLimit else {
            throw JSONError(
                .tooLarge, "the text has \(json.count) bytes, more than the limit of \(options.textSizeLimit)")
        }
        let fileTypes = FileTypes.of(type.file)
        var parser = MessageParser(json, fileTypes, options)
        do {
            try parser.parse(try messageType(type, fileTypes))
        } catch {
            throw error.at(parser.path)
        }
        return parser.output
    }

    private static func messageType(
        _ type: MessageDescriptor, _ fileTypes: FileTypes
    ) throws(JSONError) -> MessageType {
        guard let message = fileTypes.message(type.name) else {
            throw JSONError(.unknownType, "\(type.file.name) does not declare \(type.name)")
        }
        return message
    }
}

extension Message {
    /// The message as JSON. Fields that the schema does not name are left out.
    ///
    /// - Throws: Where the message holds what JSON has no form for: a time out of range, an `Any` of an unknown type.
    public func jsonString(options: JSONEncodingOptions = JSONEncodingOptions()) throws(JSONError) -> String {
        String(decoding: try jsonUTF8Bytes(options: options), as: UTF8.self)
    }

    /// The message as JSON in UTF-8.
    ///
    /// - Throws: As ``jsonString(options:)`` does.
    public func jsonUTF8Bytes(options: JSONEncodingOptions = JSONEncodingOptions()) throws(JSONError) -> [UInt8] {
        try JSONTranscoder.json(encoded(), of: Self.descriptor, options: options)
    }

    /// Reads a message from JSON.
    ///
    /// - Throws: Where the text is not JSON or does not fit the schema; the error names the path to what is wrong.
    public init(jsonString: String, options: JSONDecodingOptions = JSONDecodingOptions()) throws(JSONError) {
        try self.init(jsonUTF8Bytes: Array(jsonString.utf8), options: options)
    }

    /// Reads a message from JSON in UTF-8.
    ///
    /// - Throws: As ``init(jsonString:options:)`` does.
    public init(jsonUTF8Bytes: [UInt8], options: JSONDecodingOptions = JSONDecodingOptions()) throws(JSONError) {
        let encoded = try JSONTranscoder.encoded(jsonUTF8Bytes, of: Self.descriptor, options: options)
        do throws(WireError) {
            let limits = DecodeLimits(depth: options.messageDepthLimit, memory: options.messageMemoryLimit)
            try self.init(decoding: encoded, limits: limits)
        } catch {
            throw JSONError(error)
        }
    }
}

extension JSONError {
    fileprivate func at(_ path: [PathStep]) -> JSONError {
        var error = self
        error.path = path.text
        return error
    }

    fileprivate init(_ error: WireError) {
        let code: Code =
            switch error.code {
            case .tooDeep: .tooDeep
            case .tooLarge: .tooLarge
            default: .malformed
            }
        self.init(code, error.message)
    }
}
