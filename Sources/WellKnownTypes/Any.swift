public import FletchWire

extension Google_Protobuf_Any {
    /// Encodes a message, with its type's name behind `typeURLPrefix` and a slash.
    ///
    /// - Parameter typeURLPrefix: Who knows the type: `type.googleapis.com` for whatever has no server of types.
    public init<M: Message>(_ message: M, typeURLPrefix: String = "type.googleapis.com") {
        self.init(typeURL: "\(typeURLPrefix)/\(M.descriptor.name)", value: message.encoded())
    }

    /// The full name of the type: what follows the last slash. Nil where there is no slash or nothing behind it
    /// (any.proto: a URL has at least one slash, and its last segment is the name).
    public var typeName: Substring? {
        guard let slash = typeURL.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        let name = typeURL[typeURL.utf8.index(after: slash)...]
        return name.isEmpty ? nil : name
    }

    /// Whether the message is of the type. Prefixes of the URL do not matter.
    public func `is`<M: Message>(_ type: M.Type) -> Bool {
        // By bytes: Swift takes Strings for equal that are canonically equivalent.
        typeName.map { $0.utf8.elementsEqual(type.descriptor.name.utf8) } ?? false
    }

    /// The message; nil where it is of another type.
    ///
    /// - Throws: What `init(decoding:)` throws.
    public func unpacked<M: Message>(
        as type: M.Type = M.self, limits: DecodeLimits = DecodeLimits()
    ) throws(WireError) -> M? {
        self.is(type) ? try M(decoding: value, limits: limits) : nil
    }
}
