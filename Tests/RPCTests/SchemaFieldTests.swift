import FletchHTTP2
import FletchRPC
import FletchWire
import Quirks
import ScriptedPeer
import Testing

private typealias Number = Quirks_Imported_Colour

private let file = FileDescriptor(
    name: "test.proto", fingerprint: "0123456789abcdef", dependencies: [], symbols: [], serialized: "")
private let service = ServiceDescriptor(name: "test.Echo", file: file)
/// Declared elsewhere.
private let otherService = ServiceDescriptor(
    name: "test.Other",
    file: FileDescriptor(
        name: "other.proto", fingerprint: "fedcba9876543210", dependencies: [], symbols: [], serialized: ""))

/// The inline methods of every test, and tasks that answer in every way.
private func methods() -> [Method] {
    var methods = testMethods { _ in }.map {
        Method(path: $0.path, service: service, maxRequestBytes: $0.maxRequestBytes, handler: $0.handler)
    }
    methods += [
        Method(path: "/test.Echo/Unary", service: service, unary: { (request: Number, _) in request }),
        Method(
            path: "/test.Echo/List", service: service,
            serverStreaming: { (request: Number, responses: ResponseWriter<Number>, call) in
                try call.addInitialMetadata("x-first", "1")
                try await responses.write(request)
            }),
        Method(
            path: "/test.Echo/ListNone", service: service,
            serverStreaming: { (_: Number, _: ResponseWriter<Number>, _) in }),
        Method(
            path: "/test.Echo/ListAndFail", service: service,
            serverStreaming: { (request: Number, responses: ResponseWriter<Number>, _) in
                try await responses.write(request)
                throw RPCError(.dataLoss, "half of it")
            }),
        Method(
            path: "/test.Echo/FailLater", service: service,
            bidirectional: { (_: RequestStream<Number>, _: ResponseWriter<Number>, _) in
                throw RPCError(.notFound, "nothing there")
            }),
        Method(path: "/test.Other/Echo", service: otherService) { call throws(RPCError) in echo(call) },
        Method(path: "/test.Bare/Echo") { call throws(RPCError) in echo(call) },
    ]
    return methods
}

@Suite struct SchemaFieldTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var path: String
        var change: [(String, String?)] = []
        var status = StatusCode.ok
        var fingerprint: String? = "0123456789abcdef"

        var testDescription: String { "\(path) \(change)" }
    }

    @Test(arguments: [
        Case(path: "/test.Echo/Echo"), Case(path: "/test.Echo/Metadata"), Case(path: "/test.Echo/Unary"),
        Case(path: "/test.Echo/Fail", status: .notFound), Case(path: "/test.Echo/Silent", status: .internal),
        Case(path: "/test.Echo/List"), Case(path: "/test.Echo/ListNone"),
        Case(path: "/test.Echo/ListAndFail", status: .dataLoss),
        Case(path: "/test.Echo/FailLater", status: .notFound),
        // Ruled out by their header fields.
        Case(path: "/test.Echo/Echo", change: [("grpc-timeout", "0m")], status: .deadlineExceeded),
        Case(path: "/test.Echo/Echo", change: [("grpc-encoding", "lz77")], status: .unimplemented),
        Case(path: "/test.Echo/FromTheFuture", status: .unimplemented),
        Case(path: "/test.Future/Echo", status: .unimplemented, fingerprint: nil),
        Case(path: "/test.Ech/o", status: .unimplemented, fingerprint: nil),
        Case(path: "/x", status: .unimplemented, fingerprint: nil),
        Case(path: "/test.Other/Echo", fingerprint: "fedcba9876543210"),
        Case(path: "/test.Bare/Echo", fingerprint: nil),
    ])
    func everyResponseSaysItOnce(_ row: Case) {
        let harness = Harness(methods: methods())
        harness.send(
            headersFrame(stream: 1, requestFields(row.path, replacing: row.change))
                + dataFrame(stream: 1, framed(Number(rgb: 1).encoded())))
        let response = harness.response()
        #expect(response.status == Int(row.status.rawValue))
        let values = response.fields.filter { $0.name == "fletch-schema" }.map(\.value)
        #expect(values == (row.fingerprint.map { [$0] } ?? []))
        // Before the status: with the header fields, where the answer has any of its own.
        let position = response.fields.firstIndex { $0.name == "fletch-schema" } ?? 0
        #expect(position < response.fields.firstIndex { $0.name == "grpc-status" } ?? 0)
    }

    @Test(arguments: ["gzip", "deflate", "zstd"]) func compressedAnswersSayIt(_ algorithm: String) {
        var compression = CompressionSettings()
        compression.minResponseBytes = 0
        let harness = Harness(compression: compression, methods: methods())
        let body = framed([UInt8](repeating: 7, count: 1000))
        harness.send(
            headersFrame(
                stream: 1, requestFields("/test.Echo/Echo", replacing: [("grpc-accept-encoding", algorithm)]))
                + dataFrame(stream: 1, body))
        #expect(harness.response()["grpc-encoding"] == algorithm)
        #expect(harness.response()["fletch-schema"] == "0123456789abcdef")
    }

    @Test func shedCallsSayIt() {
        var limits = CallLimits()
        limits.maxBytesInFlight = 1
        let harness = Harness(limits: limits, methods: methods())
        harness.send(unaryCall(stream: 1, "/test.Echo/Unary", [8, 1]))
        #expect(harness.response().status == Int(StatusCode.resourceExhausted.rawValue))
        #expect(harness.response()["fletch-schema"] == "0123456789abcdef")
    }

    @Test func unknownServicesAndMethodsAreToldApart() {
        let harness = Harness(methods: methods())
        harness.send(unaryCall(stream: 1, "/test.Future/Echo", []) + unaryCall(stream: 3, "/test.Echo/Future", []))
        #expect(harness.response(1)["grpc-message"] == "the server has no such service")
        #expect(harness.response(3)["grpc-message"]?.hasPrefix("the service has no such method here") == true)
    }
}
