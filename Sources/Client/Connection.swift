internal import CNghttp2
internal import FletchRPC
internal import FletchSchema
internal import FletchWellKnownTypes
internal import FletchWire

/// One HTTP/2 connection of a channel: an nghttp2 client session over a socket, one exchange at a time.
final class Connection {
    private let socket: Socket
    private var session: OpaquePointer!
    /// The exchange under way; the callbacks fill it.
    private var exchange: Exchange?
    /// The server announced that it will take no further calls, or the connection failed.
    fileprivate(set) var isClosing = false

    init(socket: Socket) {
        self.socket = socket
        var callbacks: OpaquePointer?
        nghttp2_session_callbacks_new(&callbacks)
        defer { nghttp2_session_callbacks_del(callbacks) }
        nghttp2_session_callbacks_set_on_header_callback(callbacks, onHeader)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onData)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrame)
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onClose)
        nghttp2_session_client_new(&session, callbacks, Unmanaged.passUnretained(self).toOpaque())
        var settings = nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0)
        nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), &settings, 1)
    }

    deinit { nghttp2_session_del(session) }

    func unary(
        path: String, authority: String, request: [UInt8], options: CallOptions, deadline: ContinuousClock.Instant?
    ) throws(RPCError) -> [UInt8] {
        let exchange = Exchange(request: request)
        self.exchange = exchange
        defer { self.exchange = nil }
        let stream = submit(
            headers: Self.headers(path: path, authority: authority, options: options))
        guard stream > 0 else {
            isClosing = true
            throw RPCError(.unavailable, "the connection takes no further calls")
        }
        exchange.stream = stream
        do throws(RPCError) {
            while !exchange.isClosed {
                try flush()
                if exchange.isClosed { break }
                guard socket.wait(writable: nghttp2_session_want_write(session) != 0, deadline: deadline) else {
                    cancel(stream)
                    throw RPCError(.deadlineExceeded, "the server did not answer before the deadline")
                }
                try receive()
            }
            try? flush()
        } catch {
            if error.code != .deadlineExceeded { isClosing = true }
            throw error
        }
        return try exchange.message()
    }

    /// The exchange under way where `stream` is its stream: what still comes on the stream of an earlier one, which
    /// was given up, is not its answer.
    fileprivate func exchange(on stream: Int32) -> Exchange? {
        exchange?.stream == stream ? exchange : nil
    }

    private static func headers(path: String, authority: String, options: CallOptions) -> [(String, String)] {
        var headers = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority), ("te", "trailers"),
            ("content-type", "application/grpc"), ("user-agent", "fletch"),
        ]
        if let timeout = options.timeout { headers.append(("grpc-timeout", encodeTimeout(timeout))) }
        headers += options.metadata.map { ($0.name, $0.value) }
        return headers
    }

    /// Submits the request; the stream's id, or a negative nghttp2 error.
    private func submit(headers: [(String, String)]) -> Int32 {
        // nghttp2 copies names and values while it is called.
        var bytes: [UInt8] = []
        for (name, value) in headers {
            bytes += name.utf8
            bytes += value.utf8
        }
        return bytes.withUnsafeMutableBufferPointer { buffer in
            var next = buffer.baseAddress!
            let fields = headers.map { name, value in
                let field = nghttp2_nv(
                    name: next, value: next + name.utf8.count, namelen: name.utf8.count, valuelen: value.utf8.count,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
                next += name.utf8.count + value.utf8.count
                return field
            }
            var provider = nghttp2_data_provider()
            provider.read_callback = readRequest
            return nghttp2_submit_request(session, nil, fields, fields.count, &provider, nil)
        }
    }

    private func cancel(_ stream: Int32) {
        nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, NGHTTP2_CANCEL.rawValue)
        try? flush()
    }

    private var unsent: [UInt8] = []

    private func flush() throws(RPCError) {
        while true {
            while !unsent.isEmpty {
                let taken = try unsent.withUnsafeBytes(socket.write).get()
                if taken == 0 { return }
                unsent.removeFirst(taken)
            }
            var bytes: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &bytes)
            guard count >= 0 else { throw Self.protocolError(Int32(count)) }
            if count == 0 { return }
            unsent.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
        }
    }

    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    private func receive() throws(RPCError) {
        let count = try buffer.withUnsafeMutableBytes(socket.read).get()
        guard let count else { return }
        if count == 0 {
            throw RPCError(.unavailable, "the server closed the connection before it answered")
        }
        let read = nghttp2_session_mem_recv(session, buffer, count)
        guard read >= 0 else { throw Self.protocolError(Int32(read)) }
    }

    private static func protocolError(_ code: Int32) -> RPCError {
        RPCError(.internal, "the peer does not speak HTTP/2: \(String(cString: nghttp2_strerror(code)))")
    }
}

/// A gRPC timeout header: at most eight digits and the finest unit that holds the duration.
func encodeTimeout(_ timeout: Duration) -> String {
    let units: [(Duration, String)] = [
        (.nanoseconds(1), "n"), (.microseconds(1), "u"), (.milliseconds(1), "m"), (.seconds(1), "S"),
        (.seconds(60), "M"), (.seconds(3600), "H"),
    ]
    for (unit, suffix) in units {
        let value = max(timeout, .zero) / unit
        if value < 100_000_000 { return "\(Int(value))\(suffix)" }
    }
    return "99999999H"
}

/// One request and what came back for it so far.
final class Exchange {
    /// Its HTTP/2 stream, once it has one.
    var stream: Int32 = 0
    private let framed: [UInt8]
    private var sent = 0
    private(set) var isClosed = false
    private var body: [UInt8] = []
    private var httpStatus = 0
    private var contentType = ""
    private var grpcStatus: String?
    private var grpcMessage = ""
    private var details: [ErrorDetail] = []
    private var retryDelayMilliseconds: UInt32?
    private var resetCode: UInt32 = 0
    private var isTooLarge = false

    init(request: [UInt8]) {
        let size = UInt32(request.count).bigEndian
        framed = [0] + withUnsafeBytes(of: size, Array.init) + request
    }

    /// Copies the next bytes of the request; the count, and whether they were the last.
    func read(into target: UnsafeMutableRawBufferPointer) -> (count: Int, isLast: Bool) {
        let count = min(target.count, framed.count - sent)
        framed.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[sent..<sent + count])) }
        sent += count
        return (count, sent == framed.count)
    }

    func receive(header name: String, value: String) {
        switch name {
        case ":status": httpStatus = Int(value) ?? 0
        case "content-type": contentType = value
        case "grpc-status": grpcStatus = value
        case "grpc-message": grpcMessage = percentDecoded(value)
        case "grpc-status-details-bin": details = Self.details(value)
        case "grpc-retry-pushback-ms": retryDelayMilliseconds = UInt32(value)
        default: break
        }
    }

    /// The details of a `google.rpc.Status` in Base64; none where it cannot be read: the status says enough.
    private static func details(_ text: String) -> [ErrorDetail] {
        var text = text
        let bytes = text.withUTF8 { Base64.decode(Slice(base: UnsafeRawBufferPointer($0), bounds: 0..<$0.count)) }
        guard let bytes, let status = try? Google_Rpc_Status(decoding: bytes) else { return [] }
        return status.details.map { ErrorDetail(typeURL: $0.typeURL, value: $0.value) }
    }

    /// False where the response is larger than the channel accepts.
    func receive(data: UnsafeBufferPointer<UInt8>) -> Bool {
        guard body.count + data.count <= Channel.maxResponseBytes + 5 else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: data)
        return true
    }

    func close(code: UInt32) {
        isClosed = true
        resetCode = code
    }

    /// The response message, or the failure that the exchange ended with.
    func message() throws(RPCError) -> [UInt8] {
        if isTooLarge {
            throw RPCError(.resourceExhausted, "the response is larger than \(Channel.maxResponseBytes) bytes")
        }
        if let grpcStatus {
            let code = UInt8(grpcStatus).flatMap(StatusCode.init(rawValue:)) ?? .unknown
            guard code == .ok else {
                throw RPCError(code, grpcMessage, details: details, retryDelayMilliseconds: retryDelayMilliseconds)
            }
        } else {
            throw failureWithoutStatus()
        }
        guard body.count >= 5, body[0] == 0,
            body[1..<5].reduce(0, { $0 << 8 | Int($1) }) == body.count - 5
        else { throw RPCError(.internal, "the response is not one uncompressed gRPC message") }
        return Array(body[5...])
    }

    /// The mappings of HTTP/2 error codes and HTTP status codes in the gRPC protocol documents.
    private func failureWithoutStatus() -> RPCError {
        if resetCode != NGHTTP2_NO_ERROR.rawValue {
            let name = String(cString: nghttp2_http2_strerror(resetCode))
            let code: StatusCode =
                switch resetCode {
                case NGHTTP2_REFUSED_STREAM.rawValue: .unavailable
                case NGHTTP2_CANCEL.rawValue: .cancelled
                case NGHTTP2_ENHANCE_YOUR_CALM.rawValue: .resourceExhausted
                case NGHTTP2_INADEQUATE_SECURITY.rawValue: .permissionDenied
                default: .internal
                }
            return RPCError(code, "the server reset the call: \(name)")
        }
        let code: StatusCode =
            switch httpStatus {
            case 400: .internal
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
        return RPCError(code, "the peer answered HTTP \(httpStatus) '\(contentType)' without a grpc-status")
    }
}

// nghttp2's callbacks: free functions, for a closure that belongs to an isolated context must not be handed to C.

private func connection(_ user: UnsafeMutableRawPointer?) -> Connection {
    Unmanaged.fromOpaque(user!).takeUnretainedValue()
}

private func readRequest(
    session: OpaquePointer?, stream: Int32, buffer: UnsafeMutablePointer<UInt8>?, length: Int,
    flags: UnsafeMutablePointer<UInt32>?, source: UnsafeMutablePointer<nghttp2_data_source>?,
    user: UnsafeMutableRawPointer?
) -> Int {
    guard let exchange = connection(user).exchange(on: stream) else {
        return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }
    let (count, isLast) = exchange.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: length))
    if isLast { flags!.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
    return count
}

private func onHeader(
    session: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, name: UnsafePointer<UInt8>?, nameLength: Int,
    value: UnsafePointer<UInt8>?, valueLength: Int, flags: UInt8, user: UnsafeMutableRawPointer?
) -> Int32 {
    connection(user).exchange(on: frame!.pointee.hd.stream_id)?.receive(
        header: String(decoding: UnsafeBufferPointer(start: name, count: nameLength), as: UTF8.self),
        value: String(decoding: UnsafeBufferPointer(start: value, count: valueLength), as: UTF8.self))
    return 0
}

private func onData(
    session: OpaquePointer?, flags: UInt8, stream: Int32, data: UnsafePointer<UInt8>?, length: Int,
    user: UnsafeMutableRawPointer?
) -> Int32 {
    let fits = connection(user).exchange(on: stream)?.receive(data: UnsafeBufferPointer(start: data, count: length))
    if fits == false {
        nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, NGHTTP2_CANCEL.rawValue)
    }
    return 0
}

private func onFrame(
    session: OpaquePointer?, frame: UnsafePointer<nghttp2_frame>?, user: UnsafeMutableRawPointer?
) -> Int32 {
    if frame!.pointee.hd.type == NGHTTP2_GOAWAY.rawValue { connection(user).isClosing = true }
    return 0
}

private func onClose(
    session: OpaquePointer?, stream: Int32, code: UInt32, user: UnsafeMutableRawPointer?
) -> Int32 {
    connection(user).exchange(on: stream)?.close(code: code)
    return 0
}
