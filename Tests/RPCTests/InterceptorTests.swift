import FletchHTTP2
import Quirks
import FletchRPC
import ScriptedPeer
import Testing
import FletchWire

private typealias Number = Quirks_Imported_Colour

/// What interceptors saw, in order; all on one thread.
private final class Notes {
    var lines: [String] = []
}

private final class Recorder: Interceptor {
    private let name: String
    private let notes: Notes
    private let refusal: RPCError?

    init(_ name: String, _ notes: Notes, refusal: RPCError? = nil) {
        self.name = name
        self.notes = notes
        self.refusal = refusal
    }

    override func callStarted(_ call: InterceptedCall) throws(RPCError) {
        notes.lines.append(
            "\(name) \(call.path) \(call.methodIndex.map(String.init) ?? "-") \(call.metadata["x-in"] ?? "")")
        if let refusal { throw refusal }
    }

    override func callEnded(_ call: InterceptedCall, _ outcome: CallOutcome) {
        let traffic = outcome.traffic
        notes.lines.append(
            """
            \(name) \(outcome.code.name) \(outcome.duration / 1_000_000) \
            \(traffic.requestMessages)/\(traffic.requestBytes) \(traffic.responseMessages)/\(traffic.responseBytes)
            """)
    }
}

private func methods(advance: @escaping (UInt64) -> Void) -> [Method] {
    testMethods(advance: advance) + [
        Method(
            path: "/test.Stream/Echo",
            bidirectional: { (requests: RequestStream<Number>, responses: ResponseWriter<Number>, _) in
                for try await request in requests { try await responses.write(request) }
            }),
        Method(path: "/test.Stream/Double", unary: { (request: Number, _) in Number(rgb: request.rgb * 2) }),
    ]
}

/// What a peer sends, and how interceptors see the call end.
struct Ending: Sendable {
    let bytes: [UInt8]
    let end: String

    init(_ path: String, _ message: [UInt8], changing changes: [(String, String?)] = [], _ end: String) {
        bytes = unaryCall(stream: 1, path, message, replacing: changes)
        self.end = end
    }

    init(_ path: String, then pieces: [[UInt8]], _ end: String) {
        bytes = headersFrame(stream: 1, requestFields(path)) + pieces.flatMap { $0 }
        self.end = end
    }
}

private let reset = frame(.reset, stream: 1, bigEndian(8))
private let numbers = framed(Number(rgb: 9).encoded()) + framed(Number(rgb: 300).encoded())

private let endings: [Ending] = [
    Ending("/test.Echo/Fail", [1], "NOT_FOUND 0 1/1 0/0"),
    Ending("/test.Echo/Nothing", [], "UNIMPLEMENTED 0 0/0 0/0"),
    Ending("/test.Echo/Echo", [], changing: [(":method", "GET")], "INTERNAL 0 0/0 0/0"),
    Ending("/test.Echo/Small", [UInt8](0..<11), "RESOURCE_EXHAUSTED 0 0/0 0/0"),
    Ending("/test.Echo/Echo", [], changing: [("grpc-timeout", "0n")], "DEADLINE_EXCEEDED 0 0/0 0/0"),
    Ending("/test.Echo/Echo", then: [reset], "CANCELLED 0 0/0 0/0"),
    Ending("/test.Stream/Double", Number(rgb: 9).encoded(), "OK 0 1/2 1/2"),
    Ending("/test.Stream/Echo", then: [dataFrame(stream: 1, numbers)], "OK 0 2/5 2/5"),
    Ending("/test.Stream/Echo", then: [dataFrame(stream: 1, numbers, end: false), reset], "CANCELLED 0 0/0 0/0"),
]

@Suite struct InterceptorTests {
    private let notes = Notes()

    private func harness(_ interceptors: [Interceptor]? = nil) -> Harness {
        Harness(interceptors: interceptors ?? [Recorder("a", notes), Recorder("b", notes)])
    }

    @Test func seesACallBeforeAndAfter() {
        let harness = harness()
        harness.send(unaryCall(stream: 1, "/test.Echo/Slow", [1, 2, 3], replacing: [("x-in", "hello")]))
        #expect(harness.response().status == 0)
        #expect(
            notes.lines == [
                "a /test.Echo/Slow 5 hello", "b /test.Echo/Slow 5 hello", "b OK 2000 1/3 1/3", "a OK 2000 1/3 1/3",
            ])
    }

    @Test(arguments: endings)
    func seesTheEndOfEveryCallOnce(_ ending: Ending) {
        let clock = Harness.Clock()
        let harness = Harness(
            interceptors: [Recorder("a", notes)], clock: clock, methods: methods { clock.now += $0 })
        harness.send(ending.bytes)
        harness.connection.close()
        harness.runTasks()
        #expect(notes.lines.count == 2)
        #expect(notes.lines.last == "a \(ending.end)")
    }

    @Test func aLateCallEndsWithItsTime() {
        let harness = harness([Recorder("a", notes)])
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo", replacing: [("grpc-timeout", "100m")])))
        harness.clock.now += 200_000_000
        harness.connection.expireCalls()
        #expect(notes.lines.last == "a DEADLINE_EXCEEDED 200 0/0 0/0")
    }

    @Test func aRefusalAnswersAndHidesTheCallFromThoseBehind() {
        let refusal = RPCError(.permissionDenied, "not you", retryDelayMilliseconds: 7)
        let harness = harness([Recorder("a", notes), Recorder("b", notes, refusal: refusal), Recorder("c", notes)])
        harness.send(headersFrame(stream: 1, requestFields("/test.Echo/Echo")))
        #expect(harness.response().status == 7 && harness.response()["grpc-message"] == "not you")
        #expect(harness.response()["grpc-retry-pushback-ms"] == "7")
        #expect(harness.response().resetCode == 0 && harness.connection.openCallCount == 0)
        #expect(
            notes.lines == ["a /test.Echo/Echo 0 ", "b /test.Echo/Echo 0 ", "a PERMISSION_DENIED 0 0/0 0/0"])
    }

    @Test func aRefusalStopsAStreamBeforeItsHandler() {
        let harness = Harness(
            interceptors: [Recorder("a", notes, refusal: RPCError(.unauthenticated, "who?"))],
            methods: methods { _ in })
        harness.send(headersFrame(stream: 1, requestFields("/test.Stream/Echo")))
        #expect(harness.response().status == 16 && harness.dispatcher.runningHandlers == 0)
    }

    @Test func aRefusalDoesNotReplaceWhatTheHeaderFieldsSay() {
        let harness = harness([Recorder("a", notes, refusal: RPCError(.unauthenticated, "who?"))])
        harness.send(unaryCall(stream: 1, "/test.Echo/Echo", replacing: [("content-type", "text/html")]))
        #expect(harness.response().httpStatus == "415")
    }
}
