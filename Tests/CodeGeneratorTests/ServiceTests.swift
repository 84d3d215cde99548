import Quirks
import FletchRPC
import Testing
import FletchWire

/// The generated service code, from client stub to handler and back, without a server between.
@Suite struct ServiceTests {
    @Test func methods() {
        #expect(QQuirky.methods(InPlace()).map(\.path) == ["/quirks.Quirky/Echo", "/quirks.Quirky/GetById"])
        #expect(QQuirky.name == "quirks.Quirky" && QQuirky.Path.getByID == "/quirks.Quirky/GetById")
    }

    /// Unary methods over messages or values run inline, all others as tasks.
    @Test func handlers() {
        func kinds(_ methods: [Method]) -> [String] {
            methods.map { method in
                switch method.handler {
                case .inline: "inline"
                case .task(let requestStream, _): requestStream ? "many requests" : "one request"
                }
            }
        }
        let streams = ["one request", "many requests", "many requests"]
        #expect(kinds(QCalls.methods(CallsInPlace())) == ["inline"] + streams)
        #expect(kinds(QCalls.methods(CallsByValue())) == ["inline"] + streams)
        #expect(kinds(QCalls.methods(CallsAsync())) == ["one request"] + streams)
        #expect(QCalls.methods(CallsAsync()).allSatisfy { $0.service?.name == "quirks.Calls" })
        #expect(QQuirky.methods(InPlace()).allSatisfy { $0.service?.file === QQuirksSchema.file })
    }

    @Test func inPlaceService() async throws { try await exercise(LocalChannel(methods: QQuirky.methods(InPlace()))) }

    @Test func valueService() async throws { try await exercise(LocalChannel(methods: QQuirky.methods(ByValue()))) }

    private func exercise(_ channel: LocalChannel) async throws {
        let client = QQuirkyClient(channel)
        let request = QScalars(aDouble: 1, aString: "text", level: .high)
        #expect(try await client.echo(request) == request)
        #expect(try await client.getByID(QNames(productID: "x")) == QNested.Inner(innermost: .init(depth: 1)))
        await #expect(throws: RPCError(.notFound, "product_id is empty")) { try await client.getByID(QNames()) }
    }

    @Test func undecodableRequests() {
        let channel = LocalChannel(methods: QQuirky.methods(InPlace(), limits: DecodeLimits(memory: 4096)))
        func code(_ request: [UInt8]) -> StatusCode? {
            do throws(RPCError) {
                _ = try channel.answer(QQuirky.Path.echo, request)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(code([0xff]) == .internal)
        #expect(code([0x4a, 1, 0xff]) == .internal)
        #expect(code(QScalars(someBytes: [UInt8](repeating: 0, count: 5000)).encoded()) == .resourceExhausted)
        #expect(code([]) == nil)
    }

    @Test func undecodableResponses() async {
        let client = QQuirkyClient(GarbageChannel())
        await #expect {
            try await client.echo(QScalars())
        } throws: {
            ($0 as? RPCError)?.code == .internal
        }
    }
}

private struct InPlace: QQuirkyService {
    func echo(_ request: QScalars.View, _ response: QScalars.Builder, _ call: UnaryCall) throws(RPCError) {
        response.aDouble = request.aDouble
        response.aString = request.aString
        response.level = request.level
    }

    func getByID(_ request: QNames.View, _ response: QNested.Inner.Builder, _ call: UnaryCall) throws(RPCError) {
        guard !request.productID.isEmpty else { throw RPCError(.notFound, "product_id is empty") }
        response.makeInnermost().depth = 1
    }
}

private struct ByValue: QQuirkyValueService {
    func echo(_ request: QScalars, _ call: UnaryCall) throws(RPCError) -> QScalars { request }

    func getByID(_ request: QNames, _ call: UnaryCall) throws(RPCError) -> QNested.Inner {
        guard !request.productID.isEmpty else { throw RPCError(.notFound, "product_id is empty") }
        return QNested.Inner(innermost: .init(depth: 1))
    }
}

/// The streams of a service are the same over any face.
private protocol Streams {}

extension Streams {
    func list(_ request: QNames, _ responses: ResponseWriter<QScalars>, _ call: AsyncCall) async throws {
        try await responses.write(QScalars(aString: request.productID))
    }

    func record(_ requests: RequestStream<QScalars>, _ call: AsyncCall) async throws -> QNames {
        var names = QNames()
        for try await request in requests { names.productID += request.aString }
        return names
    }

    func chat(
        _ requests: RequestStream<QScalars>, _ responses: ResponseWriter<QScalars>, _ call: AsyncCall
    ) async throws {
        for try await request in requests { try await responses.write(request) }
    }
}

private struct CallsInPlace: Streams, QCallsService {
    func get(_ request: QNames.View, _ response: QScalars.Builder, _ call: UnaryCall) throws(RPCError) {
        response.aString = request.productID
    }
}

private struct CallsByValue: Streams, QCallsValueService {
    func get(_ request: QNames, _ call: UnaryCall) throws(RPCError) -> QScalars { QScalars(aString: request.productID) }
}

private struct CallsAsync: Streams, QCallsAsyncService {
    func get(_ request: QNames, _ call: AsyncCall) async throws -> QScalars { QScalars(aString: request.productID) }
}

/// Calls methods as a server does.
private struct LocalChannel: ClientChannel, @unchecked Sendable {
    // Values that nobody changes.
    let methods: [Method]

    func begin(_ request: CallRequest) -> any ClientCall {
        LocalCall(answer: Result { () throws(RPCError) in try answer(request.path, request.message ?? []) })
    }

    func answer(_ path: String, _ request: [UInt8]) throws(RPCError) -> [UInt8] {
        guard let method = methods.first(where: { $0.path == path }), case .inline(let handler) = method.handler else {
            throw RPCError(.unimplemented, path)
        }
        let arena = Arena()
        defer { arena.destroy() }
        let storage = UnsafeMutablePointer<UnaryCallStorage>.allocate(capacity: 1)
        storage.initialize(to: UnaryCallStorage())
        defer {
            storage.deinitialize(count: 1)
            storage.deallocate()
        }
        return try request.withUnsafeBufferPointer { (request) throws(RPCError) in
            try handler(UnaryCall(request: UnsafeRawBufferPointer(request), arena: arena, storage: storage))
            guard let response = storage.pointee.response else { throw RPCError(.internal, "no response") }
            // The gap for the length prefix is writable.
            (response.baseAddress! - 5).initializeMemory(as: UInt8.self, repeating: 0, count: 5)
            return Array(response)
        }
    }
}

private struct GarbageChannel: ClientChannel {
    func begin(_ request: CallRequest) -> any ClientCall { LocalCall(answer: .success([0xff])) }
}

/// A unary call that was answered when it began.
private final class LocalCall: ClientCall {
    let answer: Result<[UInt8], RPCError>
    let trailingMetadata: MetadataList? = nil

    init(answer: Result<[UInt8], RPCError>) { self.answer = answer }

    func next() throws(RPCError) -> [UInt8]? { try answer.get() }
    func initialMetadata() -> MetadataList { MetadataList() }
    func write(_ message: [UInt8], compressed: Bool?) {}
    func finishRequests() {}
    func cancel() {}
}
