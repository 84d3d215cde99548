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
