/// Half of the header list of 8 KiB that stock clients take, once in base64; grpc-message takes 3 KiB more at most.
let maxStatusDetailsBytes = 3 << 10

/// `google.rpc.Status` as grpc-status-details-bin carries it; nil where `error` has no details, or none that fits into
/// `limit` bytes.
///
/// Written field by field, since this layer knows no schema; its code and message are those of grpc-status and
/// grpc-message by construction.
func statusDetails(_ error: RPCError, limit: Int = maxStatusDetailsBytes) -> [UInt8]? {
    var details = error.details
    if let delay = error.retryDelayMilliseconds { details.insert(retryInfo(milliseconds: delay), at: 0) }
    guard !details.isEmpty else { return nil }
    var status = FieldWriter()
    status.append(1, UInt64(error.code.rawValue))
    status.append(2, truncated(error.message))
    let bare = status.bytes.count
    for detail in details {
        var any = FieldWriter()
        any.append(1, Array(detail.typeURL.utf8))
        any.append(2, detail.value)
        var next = status
        next.append(3, any.bytes)
        if next.bytes.count <= limit { status = next }
    }
    return status.bytes.count > bare ? status.bytes : nil
}

/// `google.rpc.RetryInfo` with its `google.protobuf.Duration`.
private func retryInfo(milliseconds: UInt32) -> ErrorDetail {
    var duration = FieldWriter()
    duration.append(1, UInt64(milliseconds / 1000))
    duration.append(2, UInt64(milliseconds % 1000) * 1_000_000)
    var info = FieldWriter()
    info.append(1, duration.bytes)
    return ErrorDetail(type: "google.rpc.RetryInfo", value: info.bytes)
}

/// Appends fields of a protobuf message (https://protobuf.dev/programming-guides/encoding).
private struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    /// A number; 0 is left out, as its default.
    mutating func append(_ field: UInt64, _ value: UInt64) {
        guard value != 0 else { return }
        appendVarint(field << 3)
        appendVarint(value)
    }

    /// A string, bytes or a message.
    mutating func append(_ field: UInt64, _ value: [UInt8]) {
        appendVarint(field << 3 | 2)
        appendVarint(UInt64(value.count))
        bytes += value
    }

    private mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// The details of an encoded `google.rpc.Status`; nil where it is none.
func statusDetails(_ status: [UInt8]) -> [ErrorDetail]? {
    var details: [ErrorDetail] = []
    var reader = FieldReader(status[...])
    while let (number, value) = reader.next() {
        if number == 3, let value {
            var typeURL = ""
            var bytes: ArraySlice<UInt8> = []
            var any = FieldReader(value)
            while let (number, value) = any.next() {
                if number == 1, let value { typeURL = String(decoding: value, as: UTF8.self) }
                if number == 2, let value { bytes = value }
            }
            guard any.isWhole else { return nil }
            details.append(ErrorDetail(typeURL: typeURL, value: Array(bytes)))
        }
    }
    return reader.isWhole ? details : nil
}

/// Reads the fields of a protobuf message one after the other.
private struct FieldReader {
    private var rest: ArraySlice<UInt8>
    /// Whether everything so far could be read.
    private(set) var isWhole = true

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field's number, and its bytes where it is length-delimited; nil at the end, or where it is malformed.
    mutating func next() -> (UInt64, ArraySlice<UInt8>?)? {
        guard !rest.isEmpty else { return nil }
        guard let tag = varint() else { return stop() }
        switch tag & 7 {
        case 0: return varint() == nil ? stop() : (tag >> 3, nil)
        case 1: return take(8) == nil ? stop() : (tag >> 3, nil)
        case 2:
            guard let count = varint(), let bytes = take(count) else { return stop() }
            return (tag >> 3, bytes)
        case 5: return take(4) == nil ? stop() : (tag >> 3, nil)
        default: return stop()
        }
    }

    private mutating func stop() -> (UInt64, ArraySlice<UInt8>?)? {
        isWhole = false
        return nil
    }

    private mutating func take(_ count: UInt64) -> ArraySlice<UInt8>? {
        guard count <= UInt64(rest.count) else { return nil }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0 as UInt64, to: 70, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 127) << shift
            if byte < 128 { return value }
        }
        return nil
    }
}
