public import FletchWire

// How generated code reads a call's request and answers it.

extension UnaryCall {
    /// The request, decoded into the call's arena.
    ///
    /// - Throws: `resourceExhausted` where it takes more memory than the limits allow; `internal` where the bytes
    ///   are not a message of the type, as the gRPC specification wants it.
    @inlinable
    public func decode<View: MessageView>(_ type: View.Type, limits: DecodeLimits) throws(RPCError) -> View {
        do throws(WireError) {
            return try View(decoding: request, in: arena, limits: limits)
        } catch {
            throw RPCError(decoding: error)
        }
    }

    /// Answers with a message: encodes it into the call's arena behind the gap for the length prefix.
    ///
    /// - Throws: `resourceExhausted` where the response is larger than the call's arena allows.
    @inlinable
    public func respond<Builder: MessageBuilder>(_ message: Builder) throws(RPCError) {
        let bytes = message.encodedInArena(headroom: UnaryCallStorage.prefixByteCount)
        guard let bytes, !arena.isExhausted else {
            throw RPCError(.resourceExhausted, "the response takes more memory than a call may have; ask for less")
        }
        storage.pointee.response = bytes
    }
}

extension UnaryCall {
    /// Whether the request came compressed.
    public var requestIsCompressed: Bool { storage.pointee.requestIsCompressed }

    /// Whether the response is compressed, for callers that take it; nil: the server's settings decide.
    public var compressesResponse: Bool? {
        get { storage.pointee.compressesResponse }
        nonmutating set { storage.pointee.compressesResponse = newValue }
    }
}

extension UnaryCallStorage {
    /// The gap in front of a response: gRPC's compressed flag and message length.
    public static var prefixByteCount: Int { 5 }
}

extension RPCError {
    /// The status of a message that could not be decoded.
    @usableFromInline
    init(decoding error: WireError) {
        self.init(error.code == .tooLarge ? .resourceExhausted : .internal, error.message)
    }
}
