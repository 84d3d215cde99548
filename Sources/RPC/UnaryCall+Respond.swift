extension UnaryCall {
    /// Gives the call's answer: the bytes of the encoded message, in memory that stays until the handler returns and
    /// has five writable bytes in front of it for the length prefix.
    @inlinable
    public func respond(_ message: UnsafeMutableRawBufferPointer) { storage.pointee.response = message }
}
