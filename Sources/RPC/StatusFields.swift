internal import FletchHTTP2

// The status of a call as the fields of its answer.

func statusTrailers(_ error: RPCError?, _ metadata: [FieldBlock.Field]) -> FieldBlock {
    FieldBlock(statusFields(error) + metadata)
}

func statusFields(_ error: RPCError?) -> [FieldBlock.Field] {
    guard let error else { return [.init("grpc-status", "0")] }
    var fields: [FieldBlock.Field] = [
        .init("grpc-status", String(error.code.rawValue)),
        .init("grpc-message", percentEncoded(error.message), isRepeated: false),
    ]
    if let delay = error.retryDelayMilliseconds { fields.append(.init("grpc-retry-pushback-ms", String(delay))) }
    if let details = statusDetails(error) {
        fields.append(.init("grpc-status-details-bin", Base64.encode(details), isRepeated: false))
    }
    return fields
}

/// Empties `metadata` into fields of an answer.
func takeFields(_ metadata: inout [MetadataField]) -> [FieldBlock.Field] {
    guard !metadata.isEmpty else { return [] }
    defer { metadata = [] }
    return metadata.map(\.field)
}
