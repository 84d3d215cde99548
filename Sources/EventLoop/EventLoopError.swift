internal import CUV

/// A system call that failed, in words for the operator.
public struct EventLoopError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }

    /// The error of doing `action` ("listen on 127.0.0.1:80") with libuv's `code`.
    init(code: Int32, doing action: String) {
        description = "cannot \(action): \(String(cString: uv_strerror(code)))"
    }

    /// libuv's `code` alone, where others say what could not be done.
    init(code: Int32) { description = String(cString: uv_strerror(code)) }
}

func check(_ code: Int32, _ action: @autoclosure () -> String) throws(EventLoopError) {
    if code < 0 { throw EventLoopError(code: code, doing: action()) }
}
