public import FletchWire

/// One unary call as a handler sees it: valid until the handler returns, never kept beyond that.
public struct UnaryCall {
    /// The request message's bytes, contiguous, without the length prefix.
    public let request: UnsafeRawBufferPointer
    /// Memory for the call's messages; released when the answer was encoded.
    public let arena: Arena
    @usableFromInline let storage: UnsafeMutablePointer<UnaryCallStorage>

    @inlinable
    public init(request: UnsafeRawBufferPointer, arena: Arena, storage: UnsafeMutablePointer<UnaryCallStorage>) {
        self.request = request
        self.arena = arena
        self.storage = storage
    }

    /// Lets `handler` answer the call as a task on the loop, after this handler has returned: for work that takes too
    /// long to hold the loop. The request and the metadata stay readable through its ``AsyncCall``; metadata that was
    /// added for the answer goes with it.
    public func respondLater(_ handler: @escaping @Sendable (AsyncCall) async throws -> Void) {
        storage.pointee.later = handler
    }
}
