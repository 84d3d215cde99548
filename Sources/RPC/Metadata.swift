internal import FletchHTTP2

/// The metadata that came with a request: a view over the request's header fields, valid as long as its call.
public struct Metadata {
    let fields: HeaderFields

    /// The first value of `name` (lower case) as text; nil where the caller sent none.
    public subscript(name: StaticString) -> String? {
        bytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The first value of `name` (lower case) as it came, valid as long as the metadata; nil where the caller sent none.
    public func bytes(_ name: StaticString) -> UnsafeRawBufferPointer? {
        for field in fields where field.name.equals(name) { return field.value }
        return nil
    }

    /// All values of binary metadata; `name` ends in `-bin`. Values that a proxy joined by commas are taken apart.
    public func binaryValues(_ name: StaticString) -> [[UInt8]] {
        var values: [[UInt8]] = []
        for field in fields where field.name.equals(name) {
            for part in field.value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                if let bytes = Base64.decode(trimmed(part)) { values.append(bytes) }
            }
        }
        return values
    }

    /// Calls `body` with every name and value in the order they came, without pseudo-headers and without the
    /// fields that belong to the protocol.
    public func forEach(_ body: (_ name: String, _ value: String) -> Void) {
        for field in fields where !Self.isReserved(field.name) {
            body(String(decoding: field.name, as: UTF8.self), String(decoding: field.value, as: UTF8.self))
        }
    }

    /// Names that are the protocol's own: they are neither metadata of a request nor allowed in a response.
    static func isReserved(_ name: UnsafeRawBufferPointer) -> Bool {
        guard let first = name.first, first != UInt8(ascii: ":") else { return true }
        if name.equals("te") || name.equals("content-type") { return true }
        return name.count >= 5 && UnsafeRawBufferPointer(rebasing: name[..<5]).equals("grpc-")
    }
}

extension UnaryCall {
    /// The metadata that came with the request.
    public var metadata: Metadata { storage.pointee.metadata }

    /// Who calls: its address, and its identity where it has shown a certificate.
    public var peer: Peer { storage.pointee.peer?.takeUnretainedValue() ?? .unknown }

    /// When the caller stops waiting, in nanoseconds of the monotonic clock; `UInt64.max`: never.
    public var deadline: UInt64 { storage.pointee.deadline }

    /// Answers with an encoded message: bytes in memory of the call's arena, or in other memory that outlives the
    /// handler's return, since they are sent after it, with `UnaryCallStorage.prefixByteCount` writable bytes in front
    /// of them.
    public func respond(encoded message: UnsafeMutableRawBufferPointer) { storage.pointee.response = message }

    /// Sends `value` as metadata before the response.
    ///
    /// - Parameters:
    ///   - name: Lower case letters, digits, `-`, `_`, `.`; not `grpc-...`, `te`, `content-type`; none that speaks of the
    ///     connection; not `...-bin`.
    ///   - value: Printable ASCII.
    /// - Throws: `internal` where name or value break these rules.
    public func addInitialMetadata(_ name: String, _ value: String) throws(RPCError) {
        storage.pointee.initialMetadata.append(try MetadataField(checking: name, value))
    }

    /// Sends `value` as metadata after the response, or with the error that the handler throws. Rules as for
    /// ``addInitialMetadata(_:_:)``.
    public func addTrailingMetadata(_ name: String, _ value: String) throws(RPCError) {
        storage.pointee.trailingMetadata.append(try MetadataField(checking: name, value))
    }

    /// Sends bytes as metadata after the response; `name` ends in `-bin`.
    public func addTrailingMetadata(_ name: String, bytes: [UInt8]) throws(RPCError) {
        storage.pointee.trailingMetadata.append(try MetadataField(checking: name, bytes: bytes))
    }
}

/// One field of metadata that a handler sends, checked.
struct MetadataField {
    let name: String
    let value: String

    init(checking name: String, _ value: String) throws(RPCError) {
        guard isValidName(name), !name.hasSuffix("-bin"), value.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw RPCError(.internal, invalidMetadata(name))
        }
        self.name = name
        self.value = value
    }

    init(checking name: String, bytes: [UInt8]) throws(RPCError) {
        guard name.hasSuffix("-bin"), isValidName(name) else { throw .init(.internal, invalidMetadata(name)) }
        self.name = name
        value = Base64.encode(bytes)
    }

    /// The field as an answer carries it; its value is not for the peer's compression table.
    var field: FieldBlock.Field { .init(name, value, isRepeated: false) }
}

/// Names that make a message malformed (RFC 9113, 8.2.2), or speak of its body, which is not the caller's or handler's.
private let speaksOfTheConnection: Set<String> = [
    "connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
]

/// Whether metadata may have the name.
func isValidName(_ name: String) -> Bool {
    guard !speaksOfTheConnection.contains(name) else { return false }
    var name = name
    return name.withUTF8 { bytes in
        let allowed = bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return allowed && !Metadata.isReserved(UnsafeRawBufferPointer(bytes))
    }
}

private func invalidMetadata(_ name: String) -> String {
    "the handler's metadata '\(name)' is not sent: names are lower case and not reserved, values printable ASCII"
}
