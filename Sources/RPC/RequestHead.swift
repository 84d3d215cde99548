internal import FletchCompression
internal import Glibc
internal import FletchHTTP2

/// What the header fields of a request say: which method, until when.
struct RequestHead: Equatable {
    /// The method's number in the table.
    var method: Int
    /// In nanoseconds of the monotonic clock; `UInt64.max` where the caller set no deadline.
    var deadline: UInt64
    /// What compressed messages of the request are compressed with.
    var encoding: CompressionAlgorithm?

    /// Reads and checks `fields`; names and values are matched as raw bytes.
    init(
        _ fields: HeaderFields, methods: borrowing MethodTable, accepted: CompressionAlgorithms, now: UInt64
    ) throws(Rejection) {
        var seen = Seen()
        for field in fields { seen.note(field) }
        guard let verb = seen.verb, verb.equals("POST") else { throw .methodNotAllowed }
        try Self.checkContentType(seen.contentType)
        deadline = .max
        if let value = seen.timeout {
            guard let timeout = parseTimeout(value) else { throw .malformedTimeout }
            guard timeout > 0 else { throw .deadlineExceeded }
            deadline = now.addingClamped(timeout)
        }
        guard seen.binaryMetadataIsValid else { throw .malformedBinaryMetadata }
        guard let path = seen.path, let method = methods.lookUp(path) else {
            throw seen.path.flatMap { methods.service(of: $0) } == nil ? .unknownService : .unknownMethod
        }
        self.method = method
        if let name = seen.encoding, !name.equals("identity") {
            encoding = CompressionAlgorithm(name: name)
            guard let encoding, accepted.contains(encoding) else { throw .unknownEncoding(accepted: accepted) }
        }
    }

    /// Whether `fields` ask for the page that `ServerConfiguration.plainEndpoint` is about.
    static func asksForPlainPage(_ fields: HeaderFields) -> Bool {
        var seen = Seen()
        for field in fields { seen.note(field) }
        guard let verb = seen.verb, let path = seen.path else { return false }
        return path.equals("/") && (verb.equals("GET") || verb.equals("POST"))
    }

    private static func checkContentType(_ value: UnsafeRawBufferPointer?) throws(Rejection) {
        guard let value else { throw .notGRPC }
        if value.equals("application/grpc") || value.equals("application/grpc+proto") { return }
        let essence = value.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
        let lowered = String(decoding: essence, as: UTF8.self).lowercased()
        if lowered == "application/grpc" || lowered == "application/grpc+proto" { return }
        throw lowered.hasPrefix("application/grpc+") ? .unknownCodec : .notGRPC
    }

    /// The fields that the server itself reads, found in one pass.
    private struct Seen {
        var verb: UnsafeRawBufferPointer?
        var path: UnsafeRawBufferPointer?
        var contentType: UnsafeRawBufferPointer?
        var timeout: UnsafeRawBufferPointer?
        var encoding: UnsafeRawBufferPointer?
        var binaryMetadataIsValid = true

        mutating func note(_ field: HeaderFields.Field) {
            let name = field.name
            switch name.count {
            case 5 where name.equals(":path"): path = field.value
            case 7 where name.equals(":method"): verb = field.value
            case 12 where name.equals("content-type"): contentType = field.value
            case 12 where name.equals("grpc-timeout"): timeout = field.value
            case 13 where name.equals("grpc-encoding"): encoding = field.value
            default:
                if name.hasSuffix("-bin"), !isValidBinaryMetadata(field.value) { binaryMetadataIsValid = false }
            }
        }
    }
}

/// The nanoseconds of a grpc-timeout value; nil where it is malformed. Values beyond the clock's range saturate.
package func parseTimeout(_ value: UnsafeRawBufferPointer) -> UInt64? {
    guard (2...9).contains(value.count) else { return nil }
    var amount: UInt64 = 0
    for digit in value.dropLast() {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
        amount = amount * 10 + UInt64(digit - UInt8(ascii: "0"))
    }
    let unit: UInt64
    switch value[value.count - 1] {
    case UInt8(ascii: "n"): unit = 1
    case UInt8(ascii: "u"): unit = 1_000
    case UInt8(ascii: "m"): unit = 1_000_000
    case UInt8(ascii: "S"): unit = 1_000_000_000
    case UInt8(ascii: "M"): unit = 60_000_000_000
    case UInt8(ascii: "H"): unit = 3_600_000_000_000
    default: return nil
    }
    let (nanoseconds, overflow) = amount.multipliedReportingOverflow(by: unit)
    return overflow ? .max : nanoseconds
}

extension UInt64 {
    /// The sum, or `max` where it is larger: as a time, never.
    @inline(__always)
    package func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}

extension UnsafeRawBufferPointer {
    @inline(__always)
    func hasSuffix(_ text: StaticString) -> Bool {
        let size = text.utf8CodeUnitCount
        return count >= size && memcmp(baseAddress! + (count &- size), text.utf8Start, size) == 0
    }
}
