internal import CUV

/// A system call that failed, in words for the operator.
public struct EventLoopError: Error, Sendable, Hashable, CustomStringConvertible {
    /// libuv's error number, a negative errno.
    public let code: Int32
    public let description: String

    /// The error of doing `action` ("listen on 127.0.0.1:80") with libuv's `code`.
    init(code: Int32, doing action: String) {
        self.code = code
        description = "cannot \(action): \(String(cString: uv_strerror(code)))"
    }

    /// Whether another process has the address.
    public var isAddressInUse: Bool { code == UV_EADDRINUSE.rawValue }
}

func check(_ code: Int32, _ action: @autoclosure () -> String) throws(EventLoopError) {
    if code < 0 { throw EventLoopError(code: code, doing: action()) }
}
