internal import COpenSSL

/// Why certificates cannot be used, or why a connection's TLS cannot go on, in one line.
public struct TLSError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// What OpenSSL noted in this thread, in words; forgets it.
///
/// - Parameter cause: Whether to give the first of its errors, the cause ("Permission denied"), rather than the last,
///   which says what for ("key values mismatch" rather than the arithmetic behind it).
func takeReason(cause: Bool = false) -> String {
    let code = cause ? ERR_peek_error() : ERR_peek_last_error()
    ERR_clear_error()
    guard code != 0, let reason = copenssl_reason(code) else { return "no reason given" }
    return String(cString: reason)
}
