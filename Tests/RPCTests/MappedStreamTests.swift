import FletchRPC
import FletchWire
import Quirks
import ScriptedPeer
import Testing

private typealias Old = Quirks_Imported_Colour
private typealias New = QScalars

/// What a newer version of the schema carries out, for adapters.
@Sendable private func doubled(_ requests: RequestStream<New>, _ responses: ResponseWriter<New>) async throws {
    for try await request in requests { try await responses.write(New(aUint32: request.aUint32 * 2)) }
}

@Sendable private func new(_ message: Old) throws(RPCError) -> New {
    guard message.rgb != 13 else { throw RPCError(.invalidArgument, "rgb is 13") }
    return New(aUint32: message.rgb)
}

@Sendable private func old(_ message: New) -> Old { Old(rgb: message.aUint32) }

private func framed(_ values: [UInt32]) -> [UInt8] { values.flatMap { ScriptedPeer.framed(Old(rgb: $0).encoded()) } }

@Suite struct MappedStreamTests {
    private func harness() -> Harness {
        Harness(
            methods: [
                Method(
                    path: "/test.Stream/Double",
                    bidirectional: { (requests: RequestStream<Old>, responses: ResponseWriter<Old>, _) in
                        try await doubled(requests.map(new), responses.map(old))
                    })
            ])
    }

    @Test func anAdapterTranslatesEachMessageAsItPasses() {
        let harness = harness()
        harness.send(headersFrame(stream: 1, requestFields("/test.Stream/Double")))
        harness.send(dataFrame(stream: 1, framed([1, 2]), end: false))
        #expect(harness.response().data == framed([2, 4]) && !harness.response().ended)
        harness.send(dataFrame(stream: 1, framed([3])))
        #expect(harness.response().data == framed([2, 4, 6]))
        #expect(harness.response().status == 0 && harness.dispatcher.runningHandlers == 0)
    }

    @Test func whatATransformThrowsEndsTheCall() {
        let harness = harness()
        harness.send(headersFrame(stream: 1, requestFields("/test.Stream/Double")))
        harness.send(dataFrame(stream: 1, framed([1, 13, 2])))
        #expect(harness.response().data == framed([2]))
        #expect(harness.response().status == Int(StatusCode.invalidArgument.rawValue))
    }

    @Test func handlersRunWithoutACall() async throws {
        let (written, continuation) = AsyncStream.makeStream(of: New.self)
        let requests = AsyncStream { continuation in
            for value: UInt32 in 1...3 { continuation.yield(New(aUint32: value)) }
            continuation.finish()
        }
        try await doubled(RequestStream(requests), ResponseWriter { continuation.yield($0) })
        continuation.finish()
        #expect(await written.reduce(into: []) { $0.append($1.aUint32) } == [2, 4, 6])
    }

    @Test func errorsOfASequenceAreThoseOfACall() async {
        struct Failure: Error {}
        let failing = AsyncThrowingStream<New, any Error> { $0.finish(throwing: Failure()) }
        await #expect(throws: RPCError(.unknown, "the handler failed")) {
            for try await _ in RequestStream(failing).map({ (message: New) in message }) {}
        }
    }
}
