package import FletchCompression
package import FletchHTTP2

/// What is told of the response to a call, on the thread of its connection.
package protocol ResponseReceiver: AnyObject {
    /// The metadata before the first message.
    func received(head: MetadataList)

    /// Messages, and how many bytes have arrived since the last time.
    ///
    /// - Returns: How many bytes more the server may send.
    func received(_ messages: [ReceivedMessage], byteCount: Int) -> Int

    /// So many bytes of the requests have been taken into frames.
    func sent(byteCount: Int)

    /// The call is over; nothing follows.
    func ended(_ end: CallEnd)
}

/// How a call ended.
package struct CallEnd: Sendable {
    /// nil: OK.
    package let error: RPCError?
    /// What came with the status; nil where no status came.
    package let trailers: MetadataList?
    /// Whether the server cannot have begun to work on the call.
    package let isUnprocessed: Bool

    package init(error: RPCError?, trailers: MetadataList? = nil, isUnprocessed: Bool = false) {
        self.error = error
        self.trailers = trailers
        self.isUnprocessed = isUnprocessed
    }
}

/// One call over an HTTP/2 stream: what the server sends is checked, taken apart into messages, and judged as gRPC has
/// it (gRPC: doc/PROTOCOL-HTTP2.md).
package final class ClientExchange: ClientStream {
    private unowned let session: ClientSession
    private let maxMessageBytes: Int
    private let hasSingleResponse: Bool
    // Until the call is over.
    private var receiver: (any ResponseReceiver)?

    private var parser = MessageParser()
    private var encoding: CompressionAlgorithm?
    private var messageCount = 0
    /// What the server has said of the call so far.
    private var status: ResponseFields?
    private var headFields: ResponseFields?

    /// - Parameter maxMessageBytes: The most bytes that a message may have on the wire.
    package init(
        session: ClientSession, maxMessageBytes: Int, hasSingleResponse: Bool, receiver: any ResponseReceiver
    ) {
        self.session = session
        self.maxMessageBytes = maxMessageBytes
        self.hasSingleResponse = hasSingleResponse
        self.receiver = receiver
    }

    /// Ends the call from our side; the receiver hears nothing more.
    package func cancel() {
        receiver = nil
        if !isOver { session.reset(self, code: 8) }  // CANCEL
    }

    // MARK: What comes

    package override func receivedHead(_ fields: HeaderFields) {
        let head = ResponseFields(fields)
        headFields = head
        if head.outcome != nil, head.isGRPC {
            // Trailers-Only: its metadata is that of trailers.
            status = head
            return
        }
        guard head.httpStatus == 200, head.isGRPC else { return fail(head.httpError) }
        if !head.encoding.isEmpty, head.encoding != "identity" {
            var name = head.encoding
            encoding = name.withUTF8 { CompressionAlgorithm(name: UnsafeRawBufferPointer($0)) }
            guard encoding != nil else {
                return fail(
                    RPCError(.internal, "the server compresses by '\(name.prefix(50))', which it was not offered"))
            }
        }
        receiver?.received(head: head.metadata)
    }

    package override func receivedBody(_ bytes: UnsafeRawBufferPointer) {
        guard let receiver else { return }
        var messages: [ReceivedMessage] = []
        do throws(RPCError) {
            try parser.parse(bytes, limit: maxMessageBytes, encoding: encoding, into: &messages)
        } catch {
            return fail(error)
        }
        messageCount += messages.count
        guard !hasSingleResponse || messageCount <= 1 else {
            return fail(RPCError(.internal, "the server sent more than one response message to a method with one"))
        }
        session.consume(receiver.received(messages, byteCount: bytes.count), on: self)
    }

    package override func receivedTrailers(_ fields: HeaderFields) { status = ResponseFields(fields) }

    package override func sentBody(_ byteCount: Int) { receiver?.sent(byteCount: byteCount) }

    package override func ended(_ end: End) {
        let error = error(of: end)
        // Metadata of a status that did not arrive as a whole is none.
        finish(CallEnd(error: error, trailers: status?.metadata, isUnprocessed: end.isUnprocessed))
    }

    // MARK: What it means

    private func error(of end: End) -> RPCError? {
        switch end.problem {
        case .connectionLost(let reason): return RPCError(.unavailable, reason)
        case .headersTooLarge:
            return RPCError(.resourceExhausted, "the response's header fields are larger than the client accepts")
        case .requestTooLarge:
            return RPCError(.resourceExhausted, "the call's metadata is larger than can be sent; send less")
        case nil: break
        }
        if let outcome = status?.outcome, end.resetCode == nil || end.resetCode == 0 {
            return outcome ?? incompleteness
        }
        if let code = end.resetCode { return Self.error(ofReset: code) }
        return headFields?.httpError
            ?? RPCError(.internal, "the server ended the call without a response")
    }

    /// What an OK status does not cover.
    private var incompleteness: RPCError? {
        if parser.isInsideMessage { return RPCError(.internal, "the response ended inside a message") }
        if hasSingleResponse, messageCount == 0 { return RPCError(.internal, "the response holds no message") }
        return nil
    }

    /// gRPC: doc/PROTOCOL-HTTP2.md, "Errors".
    private static func error(ofReset code: UInt32) -> RPCError {
        let status: StatusCode =
            switch code {
            case 7: .unavailable  // REFUSED_STREAM
            case 8: .cancelled  // CANCEL
            case 11: .resourceExhausted  // ENHANCE_YOUR_CALM
            case 12: .permissionDenied  // INADEQUATE_SECURITY
            default: .internal
            }
        return RPCError(status, "the server reset the call: \(errorCodeName(code))")
    }

    /// Ends the call for what the server did wrong.
    private func fail(_ error: RPCError) {
        session.reset(self, code: 8)  // CANCEL
        finish(CallEnd(error: error))
    }

    private func finish(_ end: CallEnd) {
        let receiver = receiver
        self.receiver = nil
        receiver?.ended(end)
    }
}

/// The header fields of a request.
///
/// - Parameters:
///   - timeout: What is left until the call's deadline.
///   - acceptEncoding: The algorithms that responses may be compressed with.
package func requestHead(
    path: String, authority: String, scheme: String, userAgent: String, timeout: Duration?,
    compression: CompressionAlgorithm?, metadata: MetadataList
) -> [FieldBlock.Field] {
    var head: [FieldBlock.Field] = [
        .init(":method", "POST"), .init(":scheme", scheme), .init(":path", path), .init(":authority", authority),
        .init("te", "trailers"), .init("content-type", "application/grpc"), .init("user-agent", userAgent),
        .init("grpc-accept-encoding", acceptEncoding),
    ]
    if let compression { head.append(.init("grpc-encoding", "\(compression.name)")) }
    if let timeout { head.append(.init("grpc-timeout", encodeTimeout(timeout), isRepeated: false)) }
    return head + metadata.map { .init($0.name, $0.value) }
}

private let acceptEncoding = CompressionAlgorithms.all.acceptEncoding

/// A gRPC timeout header: at most eight digits and the finest unit that holds the duration.
package func encodeTimeout(_ timeout: Duration) -> String {
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

/// A request message with its prefix; compressed where it is to be and that makes it smaller.
package func framedRequest(_ message: [UInt8], compressor: (Compressor, CompressionAlgorithm)?) -> [UInt8] {
    if let (compressor, algorithm) = compressor {
        let packed = message.withUnsafeBytes { compressor.compress($0, algorithm, headroom: MessagePrefix.byteCount) }
        if let framed = packed.flatMap({ MessagePrefix.write(before: $0, isCompressed: true) }) { return Array(framed) }
    }
    var framed: [UInt8] = []
    framed.reserveCapacity(MessagePrefix.byteCount + message.count)
    framed.append(0)
    withUnsafeBytes(of: UInt32(message.count).bigEndian) { framed += $0 }
    return framed + message
}
