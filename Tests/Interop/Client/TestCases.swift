internal import FletchClient
internal import FletchCompression
internal import FletchRPC
internal import InteropSchema

/// What a test case expected and did not find.
struct Failure: Error, CustomStringConvertible {
    let description: String

    /// Fails unless `condition` holds.
    static func unless(_ condition: Bool, _ expectation: String) throws {
        if !condition { throw Failure(description: "expected \(expectation)") }
    }
}

/// The test cases, by the names that gRPC gives them.
struct TestCases {
    static let all: [String: @Sendable (TestCases) -> () async throws -> Void] = [
        "empty_unary": emptyUnary, "large_unary": largeUnary, "client_compressed_unary": clientCompressedUnary,
        "server_compressed_unary": serverCompressedUnary, "client_streaming": clientStreaming,
        "client_compressed_streaming": clientCompressedStreaming, "server_streaming": serverStreaming,
        "server_compressed_streaming": serverCompressedStreaming, "ping_pong": pingPong, "empty_stream": emptyStream,
        "timeout_on_sleeping_server": timeoutOnSleepingServer, "cancel_after_begin": cancelAfterBegin,
        "cancel_after_first_response": cancelAfterFirstResponse,
        "status_code_and_message": statusCodeAndMessage, "special_status_message": specialStatusMessage,
        "custom_metadata": customMetadata, "unimplemented_method": unimplementedMethod,
        "unimplemented_service": unimplementedService,
    ]

    private let channel: Channel
    private let client: TestServiceClient
    private let options = CallOptions(timeout: .seconds(60))

    init(_ channel: Channel) {
        self.channel = channel
        client = TestServiceClient(channel)
    }

    // MARK: Unary

    private func emptyUnary() async throws {
        let answer = try await client.emptyCall(Empty(), options: options)
        try Failure.unless(answer == Empty(), "an empty message")
    }

    private func largeUnary() async throws { try await askForLarge(SimpleRequest(), options) }

    private func clientCompressedUnary() async throws {
        var gzip = options
        gzip.compression = .gzip
        // A server that does not notice cannot be tested.
        try await expect(.invalidArgument) {
            try await askForLarge(SimpleRequest(expectCompressed: BoolValue(value: true)), options)
        }
        try await askForLarge(SimpleRequest(expectCompressed: BoolValue(value: true)), gzip)
        try await askForLarge(SimpleRequest(expectCompressed: BoolValue(value: false)), options)
    }

    private func serverCompressedUnary() async throws {
        for isCompressed in [true, false] {
            try await askForLarge(SimpleRequest(responseCompressed: BoolValue(value: isCompressed)), options)
        }
    }

    private func askForLarge(_ request: SimpleRequest, _ options: CallOptions) async throws {
        var request = request
        request.responseSize = 314_159
        request.payload = Payload(body: [UInt8](repeating: 0, count: 271_828))
        let answer = try await client.unaryCall(request, options: options)
        try Failure.unless(answer.payload?.body == [UInt8](repeating: 0, count: 314_159), "314159 zeros")
    }

    // MARK: Streams

    private static let requestSizes = [27_182, 8, 1828, 45_904]
    private static let responseSizes = [31_415, 9, 2653, 58_979]

    private func clientStreaming() async throws {
        let sum = try await client.streamingInputCall(options: options) { requests in
            for size in Self.requestSizes {
                try await requests.write(StreamingInputCallRequest(payload: Self.zeros(size)))
            }
        }
        try Failure.unless(sum.aggregatedPayloadSize == 74_922, "74922 bytes, not \(sum.aggregatedPayloadSize)")
    }

    private func clientCompressedStreaming() async throws {
        var gzip = options
        gzip.compression = .gzip
        try await expect(.invalidArgument) {
            _ = try await client.streamingInputCall(options: gzip) { requests in
                let request = StreamingInputCallRequest(
                    payload: Self.zeros(27_182), expectCompressed: BoolValue(value: true))
                try await requests.write(request, compressed: false)
            }
        }
        let sum = try await client.streamingInputCall(options: gzip) { requests in
            for (size, isCompressed) in [(27_182, true), (45_904, false)] {
                let request = StreamingInputCallRequest(
                    payload: Self.zeros(size), expectCompressed: BoolValue(value: isCompressed))
                try await requests.write(request, compressed: isCompressed)
            }
        }
        try Failure.unless(sum.aggregatedPayloadSize == 73_086, "73086 bytes, not \(sum.aggregatedPayloadSize)")
    }

    private func serverStreaming() async throws {
        try await askForStream(Self.responseSizes.map { ResponseParameters(size: Int32($0)) })
    }

    private func serverCompressedStreaming() async throws {
        try await askForStream(
            [(31_415, true), (92_653, false)].map { size, isCompressed in
                ResponseParameters(size: Int32(size), compressed: BoolValue(value: isCompressed))
            })
    }

    private func askForStream(_ parameters: [ResponseParameters]) async throws {
        let request = StreamingOutputCallRequest(responseParameters: parameters)
        var sizes: [Int32] = []
        for try await response in try await client.streamingOutputCall(request, options: options) {
            sizes.append(Int32(response.payload?.body.count ?? -1))
        }
        try Failure.unless(sizes == parameters.map(\.size), "responses as asked for, not of \(sizes) bytes")
    }

    private func pingPong() async throws {
        try await client.fullDuplexCall(options: options) { requests, responses in
            var iterator = responses.makeAsyncIterator()
            for (request, response) in zip(Self.requestSizes, Self.responseSizes) {
                try await requests.write(Self.request(response, payload: request))
                let size = try await iterator.next()?.payload?.body.count
                try Failure.unless(size == response, "\(response) bytes, not \(size ?? -1)")
            }
            requests.finish()
            try Failure.unless(try await iterator.next() == nil, "no further response")
        }
    }

    private func emptyStream() async throws {
        let count = try await client.fullDuplexCall(options: options) { requests, responses in
            requests.finish()
            return try await responses.reduce(0) { count, _ in count + 1 }
        }
        try Failure.unless(count == 0, "no response, not \(count)")
    }

    // MARK: Ends

    private func timeoutOnSleepingServer() async throws {
        try await expect(.deadlineExceeded) {
            try await client.fullDuplexCall(options: CallOptions(timeout: .milliseconds(1))) { requests, responses in
                var request = Self.request(31_415, payload: 27_182)
                request.responseParameters[0].intervalUs = 10_000_000
                try await requests.write(request)
                for try await _ in responses {}
            }
        }
    }

    private func cancelAfterBegin() async throws {
        try await expect(.cancelled) {
            let call = try channel.begin(
                CallRequest(
                    path: TestService.Path.streamingInputCall, message: nil, hasSingleResponse: true, options: options))
            call.cancel()
            _ = try await call.next()
        }
    }

    private func cancelAfterFirstResponse() async throws {
        try await expect(.cancelled) {
            try await client.fullDuplexCall(options: options) { requests, responses in
                var iterator = responses.makeAsyncIterator()
                try await requests.write(Self.request(31_415, payload: 27_182))
                _ = try await iterator.next()
                responses.cancel()
                _ = try await iterator.next()
            }
        }
    }

    private func statusCodeAndMessage() async throws { try await echoStatus("test status message") }

    private func specialStatusMessage() async throws {
        try await echoStatus("\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")
    }

    private func echoStatus(_ message: String) async throws {
        let status = EchoStatus(code: 2, message: message)
        try await expect(.unknown, message) {
            _ = try await client.unaryCall(SimpleRequest(responseStatus: status), options: options)
        }
        try await expect(.unknown, message) {
            try await client.fullDuplexCall(options: options) { requests, responses in
                try await requests.write(StreamingOutputCallRequest(responseStatus: status))
                requests.finish()
                for try await _ in responses {}
            }
        }
    }

    private func customMetadata() async throws {
        func check(_ call: (CallOptions) async throws -> Void) async throws {
            let received = ReceivedMetadata()
            var options = options
            options.received = received
            options.metadata.append("x-grpc-test-echo-initial", "test_initial_metadata_value")
            options.metadata.append("x-grpc-test-echo-trailing-bin", bytes: [0xAB, 0xAB, 0xAB])
            try await call(options)
            try Failure.unless(
                received.initial?["x-grpc-test-echo-initial"] == "test_initial_metadata_value", "initial metadata")
            try Failure.unless(
                received.trailing?.binaryValues("x-grpc-test-echo-trailing-bin") == [[0xAB, 0xAB, 0xAB]],
                "trailing metadata")
        }
        try await check { try await askForLarge(SimpleRequest(), $0) }
        try await check { options in
            try await client.fullDuplexCall(options: options) { requests, responses in
                try await requests.write(Self.request(314_159, payload: 271_828))
                requests.finish()
                for try await _ in responses {}
            }
        }
    }

    private func unimplementedMethod() async throws { try await call("/grpc.testing.TestService/UnimplementedCall") }

    private func unimplementedService() async throws {
        try await call("/grpc.testing.UnimplementedService/UnimplementedCall")
    }

    private func call(_ path: String) async throws {
        try await expect(.unimplemented) {
            let _: Empty = try await channel.unary(path, Empty(), options)
        }
    }

    private func expect(_ code: StatusCode, _ message: String? = nil, _ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch let error as RPCError {
            try Failure.unless(error.code == code, "\(code.name), not \(error)")
            try Failure.unless(
                message == nil || error.message == message, "the message '\(message ?? "")', not \(error)")
            return
        }
        throw Failure(description: "expected \(code.name), not success")
    }

    private static func zeros(_ count: Int) -> Payload { Payload(body: [UInt8](repeating: 0, count: count)) }

    private static func request(_ responseSize: Int, payload: Int) -> StreamingOutputCallRequest {
        StreamingOutputCallRequest(
            responseParameters: [ResponseParameters(size: Int32(responseSize))], payload: zeros(payload))
    }
}
