import FletchRPC
import FletchRichErrors
import FletchSchema
import Testing

@testable import FletchClient

@Suite struct TargetTests {
    @Test(arguments: [
        ("127.0.0.1:50051", "127.0.0.1", "50051"), ("[::1]:80", "::1", "80"), ("shop.example:1", "shop.example", "1"),
    ])
    func readsHostAndPort(text: String, host: String, port: String) throws {
        let target = try Target(parsing: text)
        #expect(target.host == host)
        #expect(target.port == port)
        #expect(target.authority == text)
    }

    @Test(arguments: ["", "nowhere", ":50051", "::1:50051", "host:", "host:0", "host:65536", "host:http", "[]:1"])
    func refusesWhatIsNoTarget(text: String) {
        let error = #expect(throws: RPCError.self) { try Target(parsing: text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("'\(text)'") == true)
    }
}

@Suite struct EncodingTests {
    @Test(arguments: [
        (Duration.zero, "0n"), (.nanoseconds(1), "1n"), (.nanoseconds(99_999_999), "99999999n"),
        (.milliseconds(100), "100000u"), (.seconds(10), "10000000u"), (.seconds(100), "100000m"),
        (.seconds(99_999_999), "99999999S"), (.seconds(100_000_000), "1666666M"), (.seconds(-3), "0n"),
    ])
    func timeoutsHaveAtMostEightDigits(timeout: Duration, header: String) {
        #expect(encodeTimeout(timeout) == header)
    }

    @Test(arguments: [
        ("plain", "plain"), ("a%20b", "a b"), ("%E2%82%AC", "€"), ("100%", "100%"), ("%4", "%4"), ("%zz", "%zz"),
        ("%+1", "%+1"), ("%25%32", "%2"),
    ])
    func percentEncodingIsUndone(text: String, decoded: String) {
        #expect(percentDecoded(text) == decoded)
    }
}

/// What an exchange makes of a response, without a connection.
@Suite struct ExchangeTests {
    private func exchange(
        _ headers: [(String, String)], _ body: [UInt8] = [], reset: UInt32 = 0
    ) -> Result<[UInt8], RPCError> {
        let exchange = Exchange(request: [])
        for (name, value) in headers { exchange.receive(header: name, value: value) }
        body.withUnsafeBufferPointer { _ = exchange.receive(data: $0) }
        exchange.close(code: reset)
        return Result { () throws(RPCError) in try exchange.message() }
    }

    private let head = [(":status", "200"), ("content-type", "application/grpc")]

    @Test func anAnswerIsItsMessage() throws {
        let answer = exchange(head + [("grpc-status", "0")], [0, 0, 0, 0, 2, 7, 8])
        #expect(try answer.get() == [7, 8])
    }

    @Test func aStatusIsTheServers() {
        let answer = exchange(head + [("grpc-status", "5"), ("grpc-message", "no%20such")])
        #expect(answer == .failure(RPCError(.notFound, "no such")))
    }

    @Test func aStatusHasItsDetails() throws {
        // google.rpc.Status with code 3 and an ErrorInfo with the reason EMPTY.
        let status = "CAMaNwoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkVycm9ySW5mbxILCgVFTVBUWRICZC4"
        let answer = exchange(
            head + [("grpc-status", "3"), ("grpc-status-details-bin", status), ("grpc-retry-pushback-ms", "250")])
        guard case .failure(let error) = answer else {
            Issue.record("a status with details is no success")
            return
        }
        #expect(error.detail(ErrorInfo.self) == ErrorInfo(reason: "EMPTY", domain: "d."))
        #expect(error.retryDelayMilliseconds == 250)
    }

    @Test(arguments: ["", "!", "CAM", "AAAA"])
    func detailsThatCannotBeReadAreNone(details: String) {
        let answer = exchange(head + [("grpc-status", "3"), ("grpc-status-details-bin", details)])
        #expect(answer == .failure(RPCError(.invalidArgument, "")))
    }

    @Test func anUnknownStatusCodeIsUnknown() {
        guard case .failure(let error) = exchange(head + [("grpc-status", "99")]) else {
            Issue.record("an unknown status code is no success")
            return
        }
        #expect(error.code == .unknown)
    }

    @Test(arguments: [[], [0, 0, 0, 0, 3, 7, 8], [1, 0, 0, 0, 1, 7], [0, 0, 0, 0, 1, 7, 8]] as [[UInt8]])
    func aBodyThatIsNotOneMessageIsInternal(body: [UInt8]) {
        guard case .failure(let error) = exchange(head + [("grpc-status", "0")], body) else {
            Issue.record("\(body) is no message")
            return
        }
        #expect(error.code == .internal)
    }

    @Test(arguments: [("400", StatusCode.internal), ("404", .unimplemented), ("503", .unavailable), ("500", .unknown)])
    func withoutAStatusTheHTTPStatusDecides(http: String, code: StatusCode) {
        guard case .failure(let error) = exchange([(":status", http)]) else {
            Issue.record("HTTP \(http) is no success")
            return
        }
        #expect(error.code == code)
    }

    @Test(arguments: [(7 as UInt32, StatusCode.unavailable), (8, .cancelled), (11, .resourceExhausted), (2, .internal)])
    func aResetIsMappedByItsCode(reset: UInt32, code: StatusCode) {
        guard case .failure(let error) = exchange([], reset: reset) else {
            Issue.record("a reset is no success")
            return
        }
        #expect(error.code == code)
    }

    @Test func aResponseBeyondTheLimitIsRefused() {
        let exchange = Exchange(request: [])
        let chunk = [UInt8](repeating: 0, count: Channel.maxResponseBytes)
        #expect(chunk.withUnsafeBufferPointer { exchange.receive(data: $0) })
        #expect(chunk.withUnsafeBufferPointer { exchange.receive(data: $0) } == false)
        #expect(throws: RPCError.self) { try exchange.message() }
    }
}
