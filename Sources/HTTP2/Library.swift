internal import CNghttp2

// What the sessions of servers and of clients ask of nghttp2 alike.

extension OutputBuffer {
    /// Appends what `session` has to send until the buffer is full or nothing is left.
    ///
    /// - Returns: Whether everything there is to send now is in the buffer.
    func fill(from session: OpaquePointer) throws(HTTP2Error) -> Bool {
        while !isFull {
            var bytes: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &bytes)
            if count < 0 { throw HTTP2Error(code: Int32(truncatingIfNeeded: count)) }
            guard count > 0, let bytes else { return !isFull }
            guard count <= capacity - self.count else {
                throw HTTP2Error(kind: .internal, description: "a frame does not fit the output buffer")
            }
            append(bytes, count: count)
        }
        return false
    }
}

extension HTTP2Error {
    /// What a function of the library returned, which is negative.
    init(code: Int32) {
        kind =
            switch code {
            case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue: .notHTTP2
            case NGHTTP2_ERR_NOMEM.rawValue: .outOfMemory
            default: .internal
            }
        description = String(cString: nghttp2_strerror(code))
    }
}

/// One entry of SETTINGS.
func entry(_ id: nghttp2_settings_id, _ value: UInt32) -> nghttp2_settings_entry {
    nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
}

/// Queues a PING with eight bytes of `payload`.
func submitPing(_ payload: UInt64, to session: OpaquePointer) {
    withUnsafeBytes(of: payload.bigEndian) {
        _ = nghttp2_submit_ping(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }
}

/// The name of an error code of HTTP/2 (RFC 9113, 7), for example `REFUSED_STREAM`.
package func errorCodeName(_ code: UInt32) -> String { String(cString: nghttp2_http2_strerror(code)) }
