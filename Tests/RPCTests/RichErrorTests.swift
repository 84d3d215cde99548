import FletchHTTP2
import Quirks
import FletchRichErrors
import FletchSchema
import FletchWellKnownTypes
import ScriptedPeer
import Testing
import FletchWire

@testable import FletchRPC

private typealias Number = Quirks_Imported_Colour

private let badRequest = ErrorDetail.badRequest(["limit", "ids[3]"], "too large")

private func failure(_ message: String = "100% Größe", detail: ErrorDetail = badRequest) -> RPCError {
    RPCError(
        .invalidArgument, message, details: [.errorInfo("TOO_LARGE", metadata: ["limit": "5"]), detail],
        retryDelayMilliseconds: 1500)
}

private func methods() -> [Method] {
    [
        Method(path: "/test.Rich/Inline") { _ throws(RPCError) in throw failure() },
        Method(path: "/test.Rich/Task", unary: { (_: Number, _) -> Number in throw failure() }),
        Method(
            path: "/test.Rich/Stream",
            serverStreaming: { (request: Number, responses: ResponseWriter<Number>, _) in
                try await responses.write(request)
                throw failure()
            }),
        Method(path: "/test.Rich/Long") { _ throws(RPCError) in
            throw failure(String(repeating: "é", count: 2000))
        },
        Method(path: "/test.Rich/Large") { _ throws(RPCError) in
            throw failure(detail: .badRequest([String(repeating: "a", count: 4000)], "too long"))
        },
    ]
}

/// The `google.rpc.Status` that a response carries.
private func status(_ response: PeerReader.Response) throws -> Google_Rpc_Status? {
    guard let text = response["grpc-status-details-bin"] else { return nil }
    #expect(!text.contains("="))
    let bytes = try #require(Array(text.utf8).withUnsafeBytes { Base64.decode($0[...]) })
    return try Google_Rpc_Status(decoding: bytes)
}

@Suite struct RichErrorTests {
    private func call(_ method: String) -> PeerReader.Response {
        let harness = Harness(methods: methods())
        harness.send(unaryCall(stream: 1, "/test.Rich/\(method)", Number(rgb: 7).encoded()))
        return harness.response()
    }

    @Test(arguments: ["Inline", "Task", "Stream"]) func detailsComeWithEveryKindOfAnswer(_ method: String) throws {
        let response = call(method)
        #expect(response.status == 3 && response.ended)
        #expect(response.data.isEmpty == (method != "Stream"))
        #expect(response["grpc-message"] == "100%25 Gr%C3%B6%C3%9Fe")
        #expect(response["grpc-retry-pushback-ms"] == "1500")
        let status = try #require(try status(response))
        #expect(status.code == 3 && status.message == "100% Größe")
        let types = ["RetryInfo", "ErrorInfo", "BadRequest"].map { "type.googleapis.com/google.rpc.\($0)" }
        #expect(status.details.map(\.typeURL) == types)
        #expect(
            try RetryInfo(decoding: status.details[0].value)
                == RetryInfo(retryDelay: Google_Protobuf_Duration(seconds: 1, nanos: 500_000_000)))
        #expect(
            try ErrorInfo(decoding: status.details[1].value)
                == ErrorInfo(reason: "TOO_LARGE", domain: "fletch.dev", metadata: ["limit": "5"]))
        #expect(
            try BadRequest(decoding: status.details[2].value).fieldViolations.map { "\($0.field) \($0.description)" }
                == ["limit too large", "ids[3] too large"])
    }

    @Test func theMessageIsCutAsInTheTrailer() throws {
        let response = call("Long")
        let status = try #require(try status(response))
        #expect(status.message == String(repeating: "é", count: 512))
        #expect(percentEncoded(status.message) == response["grpc-message"])
    }

    @Test func whatDoesNotFitIsLeftOut() throws {
        let response = call("Large")
        #expect(try status(response)?.details.count == 2)
        let bytes = response.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 }
        #expect(bytes < 8 << 10)
        #expect(statusDetails(RPCError(.internal, "m", details: [badRequest]), limit: 20) == nil)
    }

    @Test func theLargestDetailsAndMessageFitAHeaderListOf8KiB() {
        let error = RPCError(
            .internal, String(repeating: "\u{1}", count: 5000),
            details: (0..<100).map { .errorInfo("REASON_\($0)", domain: "example.org") })
        let details = statusDetails(error) ?? []
        #expect(details.count > 2900 && details.count <= maxStatusDetailsBytes)
        #expect(percentEncoded(error.message).utf8.count + Base64.encode(details).utf8.count < 7 << 10 | 1 << 9)
    }

    @Test func anErrorWithoutDetailsSendsNone() throws {
        let harness = Harness()
        harness.send(unaryCall(stream: 1, "/test.Echo/Fail") + unaryCall(stream: 3, "/test.Echo/Echo", [1]))
        for stream in [UInt32(1), 3] {
            #expect(harness.response(stream)["grpc-status-details-bin"] == nil)
            #expect(harness.response(stream)["grpc-retry-pushback-ms"] == nil)
        }
    }

    @Test func aShedCallIsToldWhenToComeBackInBothWays() throws {
        var limits = CallLimits()
        limits.maxRunningHandlers = 0
        let harness = Harness(limits: limits, methods: methods())
        harness.send(unaryCall(stream: 1, "/test.Rich/Task", Number(rgb: 7).encoded()))
        #expect(harness.response().status == 8 && harness.response()["grpc-retry-pushback-ms"] == "1000")
        let status = try #require(try status(harness.response()))
        #expect(
            try status.details.map { try RetryInfo(decoding: $0.value) }
                == [RetryInfo(retryDelay: Google_Protobuf_Duration(seconds: 1))])
    }

    @Test func detailsAreReadByTheirType() {
        let error = failure()
        #expect(error.detail(ErrorInfo.self)?.reason == "TOO_LARGE")
        #expect(error.detail(BadRequest.self)?.fieldViolations.count == 2)
        #expect(error.detail(Help.self) == nil)
    }
}
