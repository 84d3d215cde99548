import FletchHTTP2
import Quirks
import FletchRPC
import ScriptedPeer
import Testing
import FletchWire

private typealias Number = Quirks_Imported_Colour

/// What may happen to a call once its header fields have arrived.
private enum Event: CaseIterable {
    case message, halfMessage, badMessage, end, reset, window, deadline, tasks
}

/// Handlers of every kind: some end by themselves, some only when the call does.
private func handlers() -> [(name: String, method: Method)] {
    [
        ("Inline", Method(path: "/states/Inline") { call throws(RPCError) in echo(call) }),
        (
            "Later",
            Method(path: "/states/Later") { call throws(RPCError) in
                call.respondLater { call in
                    await Task.yield()
                    let response = Number.Builder(in: try call.arena())
                    response.rgb = try call.decode(Number.View.self, limits: DecodeLimits()).rgb
                    try call.respond(response)
                }
            }
        ),
        ("Unary", Method(path: "/states/Unary", unary: { (request: Number, _) in request })),
        (
            "Collect",
            Method(
                path: "/states/Collect",
                clientStreaming: { (requests: RequestStream<Number>, _) in
                    try await requests.reduce(Number()) { Number(rgb: $0.rgb &+ $1.rgb) }
                })
        ),
        (
            "Produce",
            Method(
                path: "/states/Produce",
                serverStreaming: { (request: Number, responses: ResponseWriter<Number>, _) in
                    // More than the windows take: it waits until they open or the call ends.
                    for value in 0..<2000 { try await responses.write(Number(rgb: UInt32(value))) }
                })
        ),
        (
            "Echo",
            Method(
                path: "/states/Echo",
                bidirectional: { (requests: RequestStream<Number>, responses: ResponseWriter<Number>, _) in
                    for try await request in requests { try await responses.write(request) }
                })
        ),
        (
            "First",
            Method(
                path: "/states/First",
                bidirectional: { (requests: RequestStream<Number>, responses: ResponseWriter<Number>, _) in
                    for try await request in requests { return try await responses.write(request) }
                })
        ),
        (
            "Fail",
            Method(
                path: "/states/Fail",
                bidirectional: { (_: RequestStream<Number>, _: ResponseWriter<Number>, _) in
                    await Task.yield()
                    throw RPCError(.aborted, "at once")
                })
        ),
    ]
}

/// Every sequence of events after the header fields, for every kind of handler: whatever happens in whatever order, a
/// call ends once, with one status, and leaves nothing behind.
@Suite struct CallStatesTests {
    private static let length = 4

    @Test(arguments: handlers().map(\.name)) func everyOrderOfEventsEndsTheCallOnce(_ name: String) {
        var limits = Limits()
        limits.peerResetBurst = 1 << 40
        limits.ownResetBurst = 1 << 40
        limits.noProgressFrameBurst = 1 << 40
        var calls = CallLimits()
        calls.maxQueuedResponseBytes = 1 << 10
        let harness = Harness(limits: calls, connectionLimits: limits, methods: handlers().map(\.method))
        var stream: UInt32 = 1
        for number in 0..<power(Event.allCases.count, Self.length) {
            var rest = number
            let events = (0..<Self.length).map { _ -> Event in
                defer { rest /= Event.allCases.count }
                return Event.allCases[rest % Event.allCases.count]
            }
            let isOver = play(events, on: stream, "/states/\(name)", harness)
            guard isOver else {
                Issue.record("\(name): \(events) left something behind")
                return
            }
            stream += 2
        }
        let counters = harness.dispatcher.counters
        // Not all ended early.
        let wanted = name == "Fail" ? StatusCode.aborted : .ok
        #expect(counters.callsByStatus[Int(wanted.rawValue)] > 0)
        #expect(counters.callsStarted == counters.callsByStatus.indices.reduce(0) { $0 + counters.callsByStatus[$1] })
    }

    /// Whether the call ended once and nothing of it is left.
    private func play(_ events: [Event], on stream: UInt32, _ path: String, _ harness: Harness) -> Bool {
        let fields = requestFields(path, replacing: [("grpc-timeout", "1S")])
        harness.receive(headersFrame(stream: stream, fields))
        var hasEnded = false
        for event in events { apply(event, to: stream, harness, &hasEnded) }
        harness.runTasks()
        // What still waits ends by its deadline; what nobody answers any more by the peer's reset.
        harness.clock.now += 2_000_000_000
        harness.connection.expireCalls()
        harness.runTasks()
        let response = harness.response(stream)
        if !response.ended, response.resetCode == nil { harness.receive(frame(.reset, stream: stream, bigEndian(8))) }
        harness.runTasks()
        return harness.error == nil && harness.connection.openCallCount == 0 && harness.connection.nextExpiry == nil
            && harness.dispatcher.runningHandlers == 0 && harness.dispatcher.bytesInFlight == 0
            && (!response.ended || response.status != nil)
    }

    private func apply(_ event: Event, to stream: UInt32, _ harness: Harness, _ hasEnded: inout Bool) {
        let message = framed(Number(rgb: 7).encoded())
        switch event {
        case .message: if !hasEnded { send(message, on: stream, harness) }
        case .halfMessage: if !hasEnded { send(Array(message.prefix(6)), on: stream, harness) }
        case .badMessage: if !hasEnded { send(framed([0xFF]), on: stream, harness) }
        case .end:
            if !hasEnded { harness.receive(dataFrame(stream: stream, [])) }
            hasEnded = true
        case .reset:
            if !hasEnded { harness.receive(frame(.reset, stream: stream, bigEndian(8))) }
            hasEnded = true
        case .window:
            let update = bigEndian(1 << 10)
            harness.receive(frame(.windowUpdate, update))
            if harness.connection.openCallCount > 0 {
                harness.receive(frame(.windowUpdate, stream: stream, update))
            }
        case .deadline:
            harness.clock.now += 2_000_000_000
            harness.connection.expireCalls()
        case .tasks: harness.runTasks()
        }
    }

    private func send(_ bytes: [UInt8], on stream: UInt32, _ harness: Harness) {
        harness.receive(dataFrame(stream: stream, bytes, end: false))
    }
}

private func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { product, _ in product * base } }
