/// Why one call failed: what the peer gets as grpc-status and grpc-message, and, where there is more to say, as a
/// `google.rpc.Status` in grpc-status-details-bin.
public struct RPCError: Error, Sendable, Hashable, CustomStringConvertible {
    public var code: StatusCode
    /// What is wrong and what to do about it, for the caller to read. Sent up to 1024 bytes of UTF-8.
    public var message: String
    /// In how many milliseconds the call may be made again: sent as grpc-retry-pushback-ms, which stock clients with a
    /// retry policy obey, and as `google.rpc.RetryInfo`. nil: nothing is said.
    public var retryDelayMilliseconds: UInt32?
    /// What programs may read beside the message, most important first. Details beyond 3 KiB encoded are left out:
    /// stock clients take header lists of 8 KiB.
    public var details: [ErrorDetail]

    public init(
        _ code: StatusCode, _ message: String, details: [ErrorDetail] = [], retryDelayMilliseconds: UInt32? = nil
    ) {
        self.code = code
        self.message = message
        self.details = details
        self.retryDelayMilliseconds = retryDelayMilliseconds
    }

    public var description: String { "\(code.name): \(message)" }
}
