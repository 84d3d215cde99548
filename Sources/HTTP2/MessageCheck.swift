/// Whether a request's header lists and body make a well-formed message (RFC 9113, 8.1 to 8.3).
///
/// Stands in place of nghttp2's own check, which resets requests that gRPC wants answered: one to a path without a
/// leading slash is UNIMPLEMENTED, and white space around a value is cut off. It also costs less.
struct MessageCheck {
    private struct Seen: OptionSet {
        let rawValue: UInt8
        static let method = Seen(rawValue: 1)
        static let scheme = Seen(rawValue: 2)
        static let path = Seen(rawValue: 4)
        static let authority = Seen(rawValue: 8)
        static let host = Seen(rawValue: 16)
        /// A field that is no pseudo-header: none may follow.
        static let regular = Seen(rawValue: 32)
        static let connect = Seen(rawValue: 64)
    }

    private var seen = Seen()
    /// What content-length says; -1 where there is none.
    private var contentLength = -1
    private var receivedBytes = 0

    /// Takes one field of the request's head; false where it makes the request malformed.
    @inline(__always)
    mutating func takes(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        if name.first == UInt8(ascii: ":") { return !seen.contains(.regular) && takesPseudoHeader(name, value) }
        seen.insert(.regular)
        guard FieldSyntax.isName(name), FieldSyntax.isValue(value) else { return false }
        switch name.count {
        case 4 where name.equals("host"): return sees(.host) && FieldSyntax.isAuthority(value)
        case 14 where name.equals("content-length"): return takesContentLength(value)
        default: return !isConnectionSpecific(name, value)
        }
    }

    /// Whether a field may stand in trailers.
    static func takesTrailer(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        FieldSyntax.isName(name) && FieldSyntax.isValue(value) && !isConnectionSpecific(name, value)
    }

    /// Whether the head, now complete, is that of a request.
    var isRequest: Bool {
        if seen.contains(.connect) {
            return seen.isSuperset(of: .authority) && seen.isDisjoint(with: [.scheme, .path])
        }
        return seen.isSuperset(of: [.method, .scheme, .path]) && !seen.isDisjoint(with: [.authority, .host])
    }

    /// Takes bytes of the body; false where there are more than content-length says.
    @inline(__always)
    mutating func takes(bodyBytes count: Int) -> Bool {
        receivedBytes &+= count
        return contentLength < 0 || receivedBytes <= contentLength
    }

    /// Whether the body, now complete, has as many bytes as content-length says.
    var isComplete: Bool { contentLength < 0 || receivedBytes == contentLength }

    private mutating func sees(_ field: Seen) -> Bool { seen.insert(field).inserted }

    private mutating func takesPseudoHeader(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        switch name.count {
        case 5 where name.equals(":path"): return sees(.path) && FieldSyntax.isPath(value)
        case 7 where name.equals(":method"):
            if value.equals("CONNECT") { seen.insert(.connect) }
            return sees(.method) && FieldSyntax.isToken(value)
        case 7 where name.equals(":scheme"): return sees(.scheme) && FieldSyntax.isScheme(value)
        case 10 where name.equals(":authority"): return sees(.authority) && FieldSyntax.isAuthority(value)
        default: return false
        }
    }

    private mutating func takesContentLength(_ value: UnsafeRawBufferPointer) -> Bool {
        guard contentLength < 0, (1...18).contains(value.count) else { return false }
        var length = 0
        for byte in value {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return false }
            length = length &* 10 &+ Int(byte &- UInt8(ascii: "0"))
        }
        contentLength = length
        return true
    }
}

/// Whether a field speaks of the connection, which HTTP/2 has no fields for (RFC 9113, 8.2.2).
@inline(__always)
private func isConnectionSpecific(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
    switch name.count {
    case 2: name.equals("te") && !value.equals("trailers") && !value.equalsIgnoringCase("trailers")
    case 7: name.equals("upgrade")
    case 10: name.equals("connection") || name.equals("keep-alive")
    case 16: name.equals("proxy-connection")
    case 17: name.equals("transfer-encoding")
    default: false
    }
}

/// Which bytes the parts of a field may have (RFC 9110, 5.6.2 and 5.5; RFC 3986, 3.1 and 3.2; RFC 9113, 8.2.1).
enum FieldSyntax {
    private static let lowerCase: StaticString = "abcdefghijklmnopqrstuvwxyz"
    private static let upperCase: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    private static let digits: StaticString = "0123456789"

    // The kinds of byte, a bit each.
    private static let name: UInt8 = 1
    private static let token: UInt8 = 2
    private static let scheme: UInt8 = 4
    private static let authority: UInt8 = 8

    /// Of which kinds each byte is; never written after it was made, nor released.
    nonisolated(unsafe) private static let kinds: UnsafePointer<UInt8> = {
        let table = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        table.initialize(repeating: 0, count: 256)
        func add(_ characters: StaticString, _ kinds: UInt8) {
            for index in 0..<characters.utf8CodeUnitCount { table[Int(characters.utf8Start[index])] |= kinds }
        }
        add(lowerCase, name | token | scheme | authority)
        add(digits, name | token | scheme | authority)
        add(upperCase, token | scheme | authority)
        add("!#$%&'*+-.^_`|~", name | token)
        add("+-.", scheme)
        add("-._~!$&'()*+,;=:[]@%", authority)
        return UnsafePointer(table)
    }()

    @inline(__always)
    private static func areAll(_ kind: UInt8, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let kinds = kinds
        for byte in bytes where kinds[Int(byte)] & kind == 0 { return false }
        return true
    }

    /// A field's name: a token in lower case.
    @inline(__always)
    static func isName(_ bytes: UnsafeRawBufferPointer) -> Bool { !bytes.isEmpty && areAll(name, bytes) }

    static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool { !bytes.isEmpty && areAll(token, bytes) }

    /// A scheme: a letter first.
    static func isScheme(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first | 0x20) else {
            return false
        }
        return areAll(scheme, bytes)
    }

    static func isAuthority(_ bytes: UnsafeRawBufferPointer) -> Bool { areAll(authority, bytes) }

    /// A path has no bytes that an URI has not, and at least one.
    static func isPath(_ bytes: UnsafeRawBufferPointer) -> Bool { !bytes.isEmpty && bytes.allAreAbove(0x20) }

    /// A field's value: no control characters but tabs.
    @inline(__always)
    static func isValue(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.allAreAbove(0x1F) || bytes.allSatisfy { $0 > 0x1F && $0 != 0x7F || $0 == UInt8(ascii: "\t") }
    }
}
