internal import Glibc
internal import InteropSchema
internal import FletchRPC

/// What gRPC's interoperability tests want of a server.
struct TestServiceHandler: TestServiceValueService, Sendable {
    let observer: Observer

    func emptyCall(_ request: Empty, _ call: UnaryCall) throws(RPCError) -> Empty { Empty() }

    func unaryCall(_ request: SimpleRequest, _ call: UnaryCall) throws(RPCError) -> SimpleResponse {
        try check(request.expectCompressed, isCompressed: call.requestIsCompressed)
        if let value = call.metadata[EchoedMetadata.initial] {
            try call.addInitialMetadata("\(EchoedMetadata.initial)", value)
        }
        for value in call.metadata.binaryValues(EchoedMetadata.trailing) {
            try call.addTrailingMetadata("\(EchoedMetadata.trailing)", bytes: value)
        }
        try throwStatus(request.responseStatus)
        if let wanted = request.responseCompressed { call.compressesResponse = wanted.value }
        return SimpleResponse(payload: try payload(of: request.responseType, size: request.responseSize))
    }

    func cacheableUnaryCall(_ request: SimpleRequest, _ call: UnaryCall) throws(RPCError) -> SimpleResponse {
        try call.addInitialMetadata("cache-control", "max-age=60, public")
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return SimpleResponse(payload: Payload(body: Array("\(now.tv_sec * 1_000_000_000 + now.tv_nsec)".utf8)))
    }

    func streamingOutputCall(
        _ request: StreamingOutputCallRequest, _ responses: ResponseWriter<StreamingOutputCallResponse>,
        _ call: AsyncCall
    ) async throws {
        try await observer.watch {
            try echoMetadata(call)
            try await answer(request, responses)
        }
    }

    func streamingInputCall(
        _ requests: RequestStream<StreamingInputCallRequest>, _ call: AsyncCall
    ) async throws -> StreamingInputCallResponse {
        try await observer.watch {
            try echoMetadata(call)
            var total = 0
            for try await request in requests {
                observer.count { $0.read += 1 }
                try check(request.expectCompressed, isCompressed: call.requestIsCompressed)
                total += request.payload?.body.count ?? 0
            }
            return StreamingInputCallResponse(aggregatedPayloadSize: Int32(clamping: total))
        }
    }

    func fullDuplexCall(
        _ requests: RequestStream<StreamingOutputCallRequest>,
        _ responses: ResponseWriter<StreamingOutputCallResponse>, _ call: AsyncCall
    ) async throws {
        try await observer.watch {
            try echoMetadata(call)
            for try await request in requests {
                observer.count { $0.read += 1 }
                try await answer(request, responses)
            }
        }
    }

    func halfDuplexCall(
        _ requests: RequestStream<StreamingOutputCallRequest>,
        _ responses: ResponseWriter<StreamingOutputCallResponse>, _ call: AsyncCall
    ) async throws {
        try await observer.watch {
            try echoMetadata(call)
            var all: [StreamingOutputCallRequest] = []
            for try await request in requests {
                observer.count { $0.read += 1 }
                all.append(request)
            }
            for request in all { try await answer(request, responses) }
        }
    }

    private func answer(
        _ request: StreamingOutputCallRequest, _ responses: ResponseWriter<StreamingOutputCallResponse>
    ) async throws {
        try throwStatus(request.responseStatus)
        for parameters in request.responseParameters {
            if parameters.intervalUs > 0 { try await Task.sleep(for: .microseconds(parameters.intervalUs)) }
            let response = StreamingOutputCallResponse(
                payload: try payload(of: request.responseType, size: parameters.size))
            try await responses.write(response, compressed: parameters.compressed?.value)
            observer.count { $0.written += 1 }
        }
    }
}

/// Metadata that the server sends back.
private enum EchoedMetadata {
    static let initial: StaticString = "x-grpc-test-echo-initial"
    static let trailing: StaticString = "x-grpc-test-echo-trailing-bin"
}

/// Responses may be of any size up to this: clients take 4 MiB unless they are told otherwise.
private let maxPayloadBytes: Int32 = 64 << 20

private func payload(of type: PayloadType, size: Int32) throws(RPCError) -> Payload {
    guard type == .compressable else {
        throw RPCError(.invalidArgument, "response_type: \(type.rawValue) is not known; use COMPRESSABLE")
    }
    guard (0...maxPayloadBytes).contains(size) else {
        throw RPCError(.invalidArgument, "the size of a response must be between 0 and \(maxPayloadBytes), not \(size)")
    }
    return Payload(type: type, body: [UInt8](repeating: 0, count: Int(size)))
}

private func check(_ expected: BoolValue?, isCompressed: Bool) throws(RPCError) {
    guard let expected, expected.value != isCompressed else { return }
    let want = expected.value ? "compressed" : "uncompressed"
    throw RPCError(.invalidArgument, "expect_compressed: the request was to be \(want) and is not")
}

private func throwStatus(_ status: EchoStatus?) throws(RPCError) {
    guard let status, status.code != 0 else { return }
    guard let code = UInt8(exactly: status.code).flatMap(StatusCode.init(rawValue:)) else {
        throw RPCError(.invalidArgument, "response_status: \(status.code) is no status code")
    }
    throw RPCError(code, status.message)
}

private func echoMetadata(_ call: AsyncCall) throws(RPCError) {
    if let value = call.metadata[EchoedMetadata.initial] {
        try call.addInitialMetadata("\(EchoedMetadata.initial)", value)
    }
    for value in call.metadata.binaryValues(EchoedMetadata.trailing) {
        try call.addTrailingMetadata("\(EchoedMetadata.trailing)", bytes: value)
    }
}
