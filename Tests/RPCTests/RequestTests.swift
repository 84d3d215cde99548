import FletchHTTP2
import FletchRPC
import ScriptedPeer
import Testing

/// One row of what a gRPC server must answer: a change to an ordinary request and the answer it gets.
struct Row: Sendable, CustomTestStringConvertible {
    var name: String
    var path = "/test.Echo/Echo"
    var change: [(String, String?)] = []
    var body: [UInt8] = framed([1, 2, 3])
    var http = "200"
    var status: StatusCode
    var field: (String, String)?

    var testDescription: String { name }
}

private let rows: [Row] = [
    Row(name: "plain", status: .ok),
    Row(name: "with codec", change: [("content-type", "application/grpc+proto")], status: .ok),
    Row(name: "with parameter", change: [("content-type", "application/grpc;charset=utf-8")], status: .ok),
    Row(name: "mixed case type", change: [("content-type", "Application/gRPC")], status: .ok),
    Row(name: "no te", change: [("te", nil)], status: .ok),
    Row(name: "identity", change: [("grpc-encoding", "identity")], status: .ok),
    Row(name: "long timeout", change: [("grpc-timeout", "99999999H")], status: .ok),
    Row(name: "good -bin", change: [("x-a-bin", "AAEC"), ("x-b-bin", "AA=="), ("x-c-bin", "AA, AAE")], status: .ok),
    Row(name: "no content-type", change: [("content-type", nil)], http: "415", status: .internal),
    Row(name: "wrong content-type", change: [("content-type", "application/json")], http: "415", status: .internal),
    Row(name: "grpc-web", change: [("content-type", "application/grpc-web")], http: "415", status: .internal),
    Row(name: "unknown codec", change: [("content-type", "application/grpc+json")], status: .unimplemented),
    Row(name: "GET", change: [(":method", "GET")], http: "405", status: .internal, field: ("allow", "POST")),
    Row(name: "unknown method", path: "/test.Echo/Nothing", status: .unimplemented),
    Row(name: "unknown service", path: "/test.Other/Echo", status: .unimplemented),
    Row(name: "doubled slash", path: "//test.Echo/Echo", status: .unimplemented),
    Row(name: "trailing slash", path: "/test.Echo/Echo/", status: .unimplemented),
    Row(name: "dotted path", path: "/x/../test.Echo/Echo", status: .unimplemented),
    Row(name: "root", path: "/", status: .unimplemented),
    Row(name: "empty timeout", change: [("grpc-timeout", "")], http: "400", status: .internal),
    Row(name: "timeout without unit", change: [("grpc-timeout", "100")], http: "400", status: .internal),
    Row(name: "timeout of nine digits", change: [("grpc-timeout", "100000000m")], http: "400", status: .internal),
    Row(name: "negative timeout", change: [("grpc-timeout", "-1m")], http: "400", status: .internal),
    Row(name: "timeout 0", change: [("grpc-timeout", "0m")], status: .deadlineExceeded),
    Row(name: "bad -bin", change: [("x-a-bin", "A")], http: "400", status: .internal),
    Row(name: "bad -bin digit", change: [("x-a-bin", "AA*A")], http: "400", status: .internal),
    Row(
        name: "unknown encoding", change: [("grpc-encoding", "lz77")], status: .unimplemented,
        field: ("grpc-accept-encoding", "identity,gzip,deflate,zstd")),
    Row(name: "compressed without encoding", body: framed([1], flag: 1), status: .internal),
    Row(name: "flag 2", body: framed([1], flag: 2), status: .internal),
    Row(name: "truncated message", body: framed([1], length: 2), status: .internal),
    Row(name: "truncated prefix", body: [0, 0, 0], status: .internal),
    Row(name: "no message", body: [], status: .unimplemented),
    Row(name: "two messages", body: framed([1]) + framed([2]), status: .unimplemented),
    Row(name: "over the server's limit", body: framed([], length: 4 << 20 | 1), status: .resourceExhausted),
    Row(
        name: "over the method's limit", path: "/test.Echo/Small", body: framed([], length: 11),
        status: .resourceExhausted),
    Row(name: "at the method's limit", path: "/test.Echo/Small", body: framed([UInt8](0..<10)), status: .ok),
    Row(
        name: "large header list", change: [("x-large", String(repeating: "a", count: 16_300))], http: "431",
        status: .resourceExhausted),
    Row(
        name: "handler error", path: "/test.Echo/Fail", status: .notFound,
        field: ("grpc-message", "100%25 no such Gr%C3%B6%C3%9Fe%0A")),
    Row(name: "handler throws OK", path: "/test.Echo/FailWithOK", status: .unknown),
    Row(name: "handler without response", path: "/test.Echo/Silent", status: .internal),
    Row(name: "handler with reserved metadata", path: "/test.Echo/BadMetadata", status: .internal),
    Row(name: "handler with metadata of HTTP/1", path: "/test.Echo/ConnectionMetadata", status: .internal),
]

@Suite struct RequestTests {
    @Test(arguments: rows) func answersEachRequestAsGRPCWants(_ row: Row) {
        let harness = Harness()
        harness.send(
            headersFrame(stream: 1, requestFields(row.path, replacing: row.change)) + dataFrame(stream: 1, row.body))
        let response = harness.response()
        #expect(response.httpStatus == row.http)
        #expect(response.status == Int(row.status.rawValue))
        #expect(response["content-type"] == "application/grpc")
        #expect(response.ended)
        #expect(harness.connection.openCallCount == 0)
        #expect(harness.connection.nextExpiry == nil)
        if row.status == .ok {
            #expect(response.message == Array(row.body.dropFirst(5)))
        } else {
            #expect(response.data.isEmpty)
        }
        if let field = row.field { #expect(response[field.0] == field.1) }
        #expect(harness.dispatcher.counters.callsByStatus[Int(row.status.rawValue)] == 1)
        // The connection serves on.
        harness.send(unaryCall(stream: 3, "/test.Echo/Echo", [9]))
        #expect(harness.response(3).message == [9])
    }

    @Test func takesAMessageSplitAtEveryByte() {
        let body = framed(Array(0..<20))
        for cut in 0...body.count {
            let harness = Harness()
            harness.send(
                headersFrame(stream: 1, requestFields("/test.Echo/Echo"))
                    + dataFrame(stream: 1, Array(body[..<cut]), end: false) + dataFrame(stream: 1, Array(body[cut...])))
            #expect(harness.response().message == Array(0..<20), "cut at \(cut)")
        }
    }

    @Test func takesAMessageByteByByte() {
        let harness = Harness()
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        for byte in framed(Array(0..<20)) { harness.send(dataFrame(stream: 1, [byte], end: false)) }
        harness.send(dataFrame(stream: 1, []))
        #expect(harness.response().message == Array(0..<20))
    }

    @Test func takesAnEmptyMessageAndEndByTrailers() {
        let harness = Harness()
        harness.send(
            headersFrame(stream: 1, requestFields("/test.Echo/Echo")) + dataFrame(stream: 1, framed([]), end: false)
                + headersFrame(stream: 1, [("x-trailer", "1")], end: true))
        #expect(harness.response().status == 0)
        #expect(harness.response().message == [])
    }

    @Test func echoesALargeMessageAndReleasesItsBudget() {
        var limits = CallLimits()
        limits.maxBytesInFlight = 3 << 20
        limits.connectionShare = 0
        let harness = Harness(limits: limits)
        let chunk = [UInt8](repeating: 5, count: 16_000)
        harness.send(
            frame(.windowUpdate, bigEndian(1 << 30)))
        for call in 0..<5 {
            let stream = UInt32(2 * call + 1)
            harness.send(
                headersFrame(stream: stream, requestFields("/test.Echo/Echo"))
                    + dataFrame(stream: stream, framed([], length: 1_600_000), end: false)
                    + frame(.windowUpdate, stream: stream, bigEndian(1 << 30)))
            for index in 0..<100 { harness.send(dataFrame(stream: stream, chunk, end: index == 99)) }
            #expect(harness.response(stream).message?.count == 1_600_000, "call \(call)")
            #expect(harness.response(stream).status == 0)
        }
    }

    @Test func rejectsAnOversizeMessageFromItsPrefixAndResetsTheRest() {
        let harness = Harness()
        harness.send(
            headersFrame(stream: 1, requestFields("/test.Echo/Echo"))
                + dataFrame(stream: 1, framed([], length: 5 << 20), end: false))
        #expect(harness.response().status == Int(StatusCode.resourceExhausted.rawValue))
        #expect(harness.response().resetCode == 0)
        #expect(harness.connection.openCallCount == 0)
        // What was under way is dropped without harm.
        harness.send(dataFrame(stream: 1, [1, 2, 3]) + unaryCall(stream: 3, "/test.Echo/Echo", [9]))
        #expect(harness.response(3).message == [9])
    }

    @Test func shedsCallsBeyondTheBytesInFlight() {
        var limits = CallLimits()
        limits.maxBytesInFlight = 64 << 10
        limits.connectionShare = 0
        let harness = Harness(limits: limits)
        harness.send(
            headersFrame(stream: 1, requestFields("/test.Echo/Echo"))
                + dataFrame(stream: 1, framed([], length: 200_000), end: false))
        for _ in 0..<12 { harness.send(dataFrame(stream: 1, [UInt8](repeating: 1, count: 16_000), end: false)) }
        #expect(harness.response().status == Int(StatusCode.resourceExhausted.rawValue))
        #expect(harness.response()["grpc-retry-pushback-ms"] == "1000")
        harness.send(unaryCall(stream: 3, "/test.Echo/Echo", [UInt8](repeating: 1, count: 10_000)))
        #expect(harness.response(3).status == 0)
    }

    @Test func passesMetadataBothWays() {
        let harness = Harness()
        harness.send(
            unaryCall(stream: 1, "/test.Echo/Metadata", [1], replacing: [("x-in", "hello"), ("x-in-bin", "AAE,Ag==")]))
        let response = harness.response()
        #expect(response["x-first"] == "hello")
        #expect(response["x-last-bin"] == "AAEC")
        #expect(response.status == 0)
        #expect(response.message == [1])
        // The next call sees nothing of it.
        harness.send(unaryCall(stream: 3, "/test.Echo/Echo", [1]))
        #expect(harness.response(3)["x-first"] == nil)
        #expect(harness.response(3)["x-last-bin"] == nil)
    }

    @Test func countsCalls() {
        let harness = Harness()
        harness.send(unaryCall(stream: 1, "/test.Echo/Echo") + unaryCall(stream: 3, "/test.Echo/Fail"))
        let counters = harness.dispatcher.counters
        #expect(counters.callsStarted == 2)
        #expect(counters.callsOK == 1)
        #expect(counters.description.hasPrefix("calls_started=2 calls_ok=1 calls_not_found=1 "))
    }
}

@Suite struct DeadlineTests {
    @Test func answersALateRequest() {
        let harness = Harness()
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo", replacing: [("grpc-timeout", "100m")])))
        #expect(harness.connection.nextExpiry == harness.clock.now + 100_000_000)
        harness.clock.now += 200_000_000
        harness.send(dataFrame(stream: 1, framed([1])))
        #expect(harness.response().status == Int(StatusCode.deadlineExceeded.rawValue))
    }

    @Test func expiresARequestThatNeverEnds() {
        let harness = Harness()
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo", replacing: [("grpc-timeout", "100m")])))
        harness.connection.expireCalls()
        harness.read()
        #expect(harness.response().status == nil)
        harness.clock.now += 100_000_000
        harness.connection.expireCalls()
        harness.read()
        #expect(harness.response().status == Int(StatusCode.deadlineExceeded.rawValue))
        #expect(harness.response().resetCode == 8)
        #expect(harness.connection.nextExpiry == nil)
        #expect(harness.connection.openCallCount == 0)
    }

    @Test func waitsForEverWhereItIsToldTo() {
        var limits = CallLimits()
        limits.requestTimeout = .max
        let harness = Harness(limits: limits)
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        harness.clock.now += 1 << 60
        harness.connection.expireCalls()
        harness.send(dataFrame(stream: 1, framed([1])))
        #expect(harness.response().message == [1])
    }

    @Test func givesUpOnARequestWithoutDeadline() {
        var limits = CallLimits()
        limits.requestTimeout = 1_000_000
        let harness = Harness(limits: limits)
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        harness.clock.now += 2_000_000
        harness.connection.expireCalls()
        harness.read()
        #expect(harness.response()["grpc-message"] == "the request did not arrive in time")
    }

    @Test func doesNotCallALateAnswerOK() {
        let harness = Harness()
        harness.send(unaryCall(stream: 1, "/test.Echo/Slow", [1], replacing: [("grpc-timeout", "1S")]))
        #expect(harness.response().status == Int(StatusCode.deadlineExceeded.rawValue))
        harness.send(unaryCall(stream: 3, "/test.Echo/Slow", [1], replacing: [("grpc-timeout", "3S")]))
        #expect(harness.response(3).status == 0)
    }

    @Test func doesNotWorkOnWhatCameTooLateBehindOthers() {
        let harness = Harness()
        let start = harness.clock.now
        harness.send(
            unaryCall(stream: 1, "/test.Echo/Slow", [1])
                + unaryCall(stream: 3, "/test.Echo/Slow", [1], replacing: [("grpc-timeout", "1S")]))
        #expect(harness.response(1).status == 0)
        #expect(harness.response(3).status == Int(StatusCode.deadlineExceeded.rawValue))
        #expect(harness.clock.now == start + 2_000_000_000)
    }

    @Test func forgetsCallsThatThePeerResets() {
        let harness = Harness()
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")) + frame(.reset, stream: 1, bigEndian(8)))
        #expect(harness.connection.nextExpiry == nil)
        #expect(harness.connection.openCallCount == 0)
        #expect(harness.dispatcher.counters.callsByStatus[Int(StatusCode.cancelled.rawValue)] == 1)
    }

    @Test func aStreamIsNoCallBeforeItsHeaderFieldsEnd() {
        let harness = Harness()
        let block = headerBlock(requestFields("/test.Echo/Echo"))
        harness.send(frame(.headers, stream: 1, Array(block.prefix(20))))
        #expect(harness.connection.startedCalls == 0 && harness.connection.openCallCount == 0)
        harness.send(frame(.continuation, flags: Flag.endHeaders, stream: 1, Array(block.dropFirst(20))))
        #expect(harness.connection.startedCalls == 1 && harness.connection.openCallCount == 1)
        harness.send(frame(.headers, flags: Flag.endStream, stream: 3, Array(block.prefix(20))))
        harness.connection.close()
        #expect(harness.connection.startedCalls == 1 && harness.connection.openCallCount == 0)
    }

    @Test(arguments: ["initial", "trailing"]) func metadataTooLargeToSendEndsTheCall(_ kind: String) {
        let harness = Harness(
            methods: [
                Method(path: "/test.Echo/Large") { call throws(RPCError) in
                    let value = String(repeating: "x", count: 70_000)
                    if kind == "initial" {
                        try call.addInitialMetadata("x-large", value)
                    } else {
                        try call.addTrailingMetadata("x-large", value)
                    }
                    echo(call)
                }
            ])
        // More often than a peer may make us reset: it is not its fault.
        for stream in stride(from: UInt32(1), to: 401, by: 2) {
            harness.send(unaryCall(stream: stream, "/test.Echo/Large", [1]))
            #expect(harness.response(stream).resetCode == 2)
        }
        #expect(harness.connection.openCallCount == 0 && harness.reader.goAways.isEmpty)
    }
}
