import FletchHTTP2
import Quirks
import FletchRPC
import ScriptedPeer
import Testing
import FletchWire

private typealias Number = Quirks_Imported_Colour

private func methods() -> [Method] {
    [
        Method(path: "/test.Shed/Inline") { call throws(RPCError) in call.respond(encoded: try memory(call, 1)) },
        Method(path: "/test.Shed/Large") { call throws(RPCError) in call.respond(encoded: try memory(call, 40_000)) },
        Method(path: "/test.Shed/Task", unary: { (request: Number, _) in request }),
        Method(
            path: "/test.Shed/Wait",
            bidirectional: { (requests: RequestStream<Number>, _: ResponseWriter<Number>, _) in
                for try await _ in requests {}
            }),
    ]
}

private func memory(_ call: UnaryCall, _ byteCount: Int) throws(RPCError) -> UnsafeMutableRawBufferPointer {
    let prefix = UnaryCallStorage.prefixByteCount
    let memory = call.arena.allocate(byteCount: byteCount + prefix)!
    return UnsafeMutableRawBufferPointer(start: memory + prefix, count: byteCount)
}

/// Every limit beyond which calls are shed, and that what they held is given back.
@Suite struct SheddingTests {
    private func harness(_ change: (inout CallLimits) -> Void) -> Harness {
        var limits = CallLimits()
        limits.connectionShare = 0
        change(&limits)
        return Harness(limits: limits, methods: methods())
    }

    private func isShed(_ response: PeerReader.Response) -> Bool {
        response.status == Int(StatusCode.resourceExhausted.rawValue) && response["grpc-retry-pushback-ms"] == "1000"
    }

    @Test func handlersThatRun() {
        let harness = harness { $0.maxRunningHandlers = 1 }
        harness.send(headersFrame(stream: 1, requestFields("/test.Shed/Wait")))
        harness.send(unaryCall(stream: 3, "/test.Shed/Task", []))
        #expect(isShed(harness.response(3)))
        harness.send(frame(.reset, stream: 1, bigEndian(8)))
        harness.send(unaryCall(stream: 5, "/test.Shed/Task", []))
        #expect(harness.response(5).status == 0)
        #expect(harness.dispatcher.bytesInFlight == 0)
    }

    @Test func bytesThatRunningHandlersHold() {
        let harness = harness { $0.maxBytesInFlight = 10 << 10 }
        for stream in [UInt32(1), 3] { harness.send(headersFrame(stream: stream, requestFields("/test.Shed/Wait"))) }
        #expect(harness.dispatcher.bytesInFlight > 8 << 10)
        harness.send(headersFrame(stream: 5, requestFields("/test.Shed/Wait")))
        #expect(isShed(harness.response(5)))
        harness.connection.close()
        harness.runTasks()
        #expect(harness.dispatcher.bytesInFlight == 0 && harness.dispatcher.runningHandlers == 0)
    }

    @Test func bytesOfAStreamedRequest() {
        let harness = harness { $0.maxBytesInFlight = 64 << 10 }
        harness.send(headersFrame(stream: 1, requestFields("/test.Shed/Wait")))
        harness.send(dataFrame(stream: 1, framed([], length: 1 << 20), end: false))
        for _ in 0..<6 { harness.send(dataFrame(stream: 1, [UInt8](repeating: 0, count: 16_000), end: false)) }
        #expect(isShed(harness.response()))
        harness.runTasks()
        #expect(harness.dispatcher.bytesInFlight == 0)
    }

    @Test func responsesThatFindNoRoom() {
        let crowded = harness { $0.maxBytesInFlight = 100_000 }
        crowded.send(frame(.settings, [0, 4] + bigEndian(0)))
        for stream in [UInt32(1), 3] { crowded.send(unaryCall(stream: stream, "/test.Shed/Large")) }
        #expect(crowded.response(1).status == nil && isShed(crowded.response(3)))
        let small = harness { $0.maxBytesInFlight = 20_000 }
        small.send(unaryCall(stream: 1, "/test.Shed/Large"))
        #expect(small.response().status == 8 && small.response()["grpc-retry-pushback-ms"] == nil)
    }

    @Test func callsThatWaitedTooLongForTheLoop() {
        let harness = harness { $0.maxQueueingDelay = 1_000_000 }
        harness.clock.turnLag = 1_000_001
        harness.send(unaryCall(stream: 1, "/test.Shed/Inline") + unaryCall(stream: 3, "/test.Shed/Task"))
        #expect(isShed(harness.response(1)) && isShed(harness.response(3)))
        harness.clock.turnLag = 1_000_000
        harness.send(unaryCall(stream: 5, "/test.Shed/Inline"))
        #expect(harness.response(5).status == 0)
    }

    @Test func tasksWhoseTurnComesTooLate() {
        let harness = harness { $0.maxQueueingDelay = 1_000_000 }
        harness.receive(unaryCall(stream: 1, "/test.Shed/Task"))
        harness.clock.now += 1_000_001
        harness.runTasks()
        #expect(isShed(harness.response()) && harness.dispatcher.runningHandlers == 0)
    }

    @Test func requestsBeyondWhatTheOperatorAllows() {
        let harness = harness { $0.maxRequestBytesByPath = ["/test.Shed/Inline": 10] }
        harness.send(
            unaryCall(stream: 1, "/test.Shed/Inline", [UInt8](0..<11))
                + unaryCall(stream: 3, "/test.Shed/Inline", [UInt8](0..<10))
                + unaryCall(stream: 5, "/test.Shed/Large", [UInt8](0..<11)))
        #expect(harness.response(1).status == 8 && harness.response(1)["grpc-retry-pushback-ms"] == nil)
        #expect(harness.response(1)["grpc-message"]?.contains("more than the 10") == true)
        #expect(harness.response(3).status == 0 && harness.response(5).status == 0)
    }

    @Test func aServersBytesAreSharedOutOverItsLoops() {
        let limits = CallLimits()
        #expect(limits.share(ofLoops: 4).maxBytesInFlight == limits.maxBytesInFlight / 4)
        #expect(limits.share(ofLoops: 4).maxRunningHandlers == limits.maxRunningHandlers / 4)
        #expect(limits.share(ofLoops: 1) == limits)
        var few = limits
        few.maxRunningHandlers = 3
        #expect(few.share(ofLoops: 4).maxRunningHandlers == 1)
    }

    @Test func memoryKeptForTheNextCallsIsBounded() {
        let harness = harness { _ in }
        harness.send(frame(.settings, [0, 4] + bigEndian(0)))
        for call in 0..<200 { harness.send(unaryCall(stream: UInt32(2 * call + 1), "/test.Shed/Large")) }
        #expect(harness.dispatcher.bytesInFlight >= 200 * 40_000)
        harness.connection.close()
        #expect(harness.dispatcher.bytesInFlight == 0)
        #expect(harness.dispatcher.keptBytes > 0 && harness.dispatcher.keptBytes <= 4 << 20)
    }

    @Test func oneConnectionLeavesHandlersForAnother() {
        let greedy = harness {
            $0.maxRunningHandlers = 32
            $0.connectionShare = 16
        }
        for call in 0..<32 { greedy.send(headersFrame(stream: UInt32(2 * call + 1), requestFields("/test.Shed/Wait"))) }
        #expect(greedy.dispatcher.runningHandlers == 17)
        #expect(isShed(greedy.response(63)))
        let honest = Harness(sharing: greedy)
        honest.send(unaryCall(stream: 1, "/test.Shed/Task", []))
        greedy.runTasks()
        honest.runTasks()
        #expect(honest.response().status == 0)
    }

    @Test func oneConnectionLeavesSomeForAnother() {
        let greedy = harness {
            $0.maxBytesInFlight = 1 << 20
            $0.connectionShare = 4
        }
        greedy.send(frame(.settings, [0, 4] + bigEndian(0)))
        for call in 0..<20 { greedy.send(unaryCall(stream: UInt32(2 * call + 1), "/test.Shed/Large")) }
        #expect(isShed(greedy.response(39)))
        #expect(greedy.dispatcher.bytesInFlight <= 1 << 19)
        let honest = Harness(sharing: greedy)
        honest.send(unaryCall(stream: 1, "/test.Shed/Large"))
        #expect(honest.response().status == 0)
    }

    @Test func memoryNobodyNeedsGoesBack() {
        let harness = harness { _ in }
        harness.send(frame(.settings, [0, 4] + bigEndian(0)))
        for call in 0..<100 { harness.send(unaryCall(stream: UInt32(2 * call + 1), "/test.Shed/Large")) }
        harness.connection.close()
        _ = harness.dispatcher.shrink(callsPerSecond: 16_000)
        #expect(harness.dispatcher.keptBytes > 0 && harness.dispatcher.resources.freeBytes > 100 << 10)
        #expect(harness.dispatcher.shrink(callsPerSecond: 16))
        #expect(harness.dispatcher.keptBytes <= 8 << 10 && harness.dispatcher.resources.freeBytes <= 8 << 10)
    }
}
