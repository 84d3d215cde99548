internal import FletchHTTP2

/// What a header list of a response says, the head's or the trailers'.
struct ResponseFields {
    private(set) var httpStatus = 0
    private(set) var contentType = ""
    /// What grpc-encoding says; empty where it says nothing.
    private(set) var encoding = ""
    private(set) var metadata = MetadataList()
    private var status: String?
    private var message = ""
    private var details: [ErrorDetail] = []
    private var retryDelayMilliseconds: UInt32?

    init(_ fields: HeaderFields) {
        for field in fields {
            let value = String(decoding: field.value, as: UTF8.self)
            switch String(decoding: field.name, as: UTF8.self) {
            case ":status": httpStatus = Int(value) ?? 0
            case "content-type": contentType = value
            case "grpc-encoding": encoding = value
            case "grpc-status": status = value
            case "grpc-message": message = percentDecoded(value)
            // A status whose details cannot be read says enough without.
            case "grpc-status-details-bin": details = Base64.decode(field.value[...]).flatMap(statusDetails) ?? []
            case "grpc-retry-pushback-ms": retryDelayMilliseconds = UInt32(value)
            case let name where !Metadata.isReserved(field.name): metadata.append(name, value)
            default: break
            }
        }
    }

    /// Whether the content type is one of gRPC's: `application/grpc`, `application/grpc+proto`.
    var isGRPC: Bool {
        guard contentType.hasPrefix("application/grpc") else { return false }
        let rest = contentType.dropFirst("application/grpc".count)
        return rest.isEmpty || rest.hasPrefix("+") || rest.hasPrefix(";")
    }

    /// What the server says of the call: nil, OK. The outer nil: nothing.
    var outcome: RPCError?? {
        guard let status else { return nil }
        if status == "0" { return .some(nil) }
        guard let code = UInt8(status).flatMap(StatusCode.init(rawValue:)), code != .ok else {
            return RPCError(.unknown, "the server's status '\(status.prefix(20))' is no status code: \(message)")
        }
        return RPCError(code, message, details: details, retryDelayMilliseconds: retryDelayMilliseconds)
    }

    /// What a response without a gRPC status means (gRPC: doc/http-grpc-status-mapping.md).
    var httpError: RPCError {
        let code: StatusCode =
            switch httpStatus {
            case 400: .internal
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
        return RPCError(
            code,
            "the server answered HTTP \(httpStatus) with content-type '\(contentType.prefix(100))' and no grpc-status")
    }
}
