public import FletchRPC
public import FletchSchema
public import FletchWire

// The rich error model of gRPC (https://grpc.io/docs/guides/error/#richer-error-model), typed: its messages under their
// own names, the details that our services send, and how to read any of them. Every other message is a detail just as
// well: `ErrorDetail(Help(...))`.

public typealias ErrorInfo = Google_Rpc_ErrorInfo
public typealias RetryInfo = Google_Rpc_RetryInfo
public typealias DebugInfo = Google_Rpc_DebugInfo
public typealias QuotaFailure = Google_Rpc_QuotaFailure
public typealias PreconditionFailure = Google_Rpc_PreconditionFailure
public typealias BadRequest = Google_Rpc_BadRequest
public typealias RequestInfo = Google_Rpc_RequestInfo
public typealias ResourceInfo = Google_Rpc_ResourceInfo
public typealias Help = Google_Rpc_Help
public typealias LocalizedMessage = Google_Rpc_LocalizedMessage

extension ErrorInfo {
    /// The domain of the reasons that Fletch's own services and interceptors give.
    public static let fletchDomain = "fletch.dev"
}

extension ErrorDetail {
    /// The cause of an error, for programs to tell it from others.
    ///
    /// - Parameters:
    ///   - reason: In UPPER_SNAKE_CASE, unique within the domain.
    ///   - metadata: What the error is about, by name in lowerCamelCase.
    public static func errorInfo(
        _ reason: String, domain: String = ErrorInfo.fletchDomain, metadata: [String: String] = [:]
    ) -> ErrorDetail {
        ErrorDetail(ErrorInfo(reason: reason, domain: domain, metadata: metadata))
    }

    /// Fields of the request that are wrong: `fields` are paths into the request, for example `requests[0].limit`.
    public static func badRequest(_ fields: [String], _ description: String) -> ErrorDetail {
        ErrorDetail(
            BadRequest(fieldViolations: fields.map { BadRequest.FieldViolation(field: $0, description: description) }))
    }
}

extension RPCError {
    /// The first detail of the type; nil where there is none, or none that can be decoded.
    public func detail<Detail: Message>(_ type: Detail.Type) -> Detail? {
        for detail in details {
            if let decoded = try? detail.decode(type) { return decoded }
        }
        return nil
    }
}
