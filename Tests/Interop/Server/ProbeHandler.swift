internal import FletchEventLoop
internal import InteropSchema
internal import FletchRPC

/// What tests need to see and do behind the interoperability service.
final class ProbeHandler: ProbeAsyncService {
    private let observer: Observer
    private let gate: Gate

    init(observer: Observer, gate: Gate) {
        self.observer = observer
        self.gate = gate
    }

    func whoAmI(_ request: WhoAmIRequest, _ call: AsyncCall) async throws -> Caller {
        let identity = call.peer.identity
        return Caller(
            address: call.peer.address, subject: identity?.subject ?? "", dnsNames: identity?.dnsNames ?? [],
            uris: identity?.uris ?? [])
    }

    func observe(_ request: ObserveRequest, _ call: AsyncCall) async throws -> Observation { observer.current() }

    func produce(_ request: ProduceRequest, _ responses: ResponseWriter<Block>, _ call: AsyncCall) async throws {
        try await observer.watch {
            let body = [UInt8](repeating: 7, count: Int(request.size))
            for number in 0..<request.count {
                try await responses.write(Block(number: number, body: body))
                observer.count { $0.written += 1 }
            }
        }
    }

    func consume(_ requests: RequestStream<Block>, _ call: AsyncCall) async throws -> ConsumeResponse {
        try await observer.watch {
            var total = ConsumeResponse()
            for try await block in requests {
                observer.count { $0.read += 1 }
                if total.count == 0 { try await gate.pass() }
                total.count += 1
                total.bytes += UInt64(block.body.count)
            }
            return total
        }
    }

    func resume(_ request: ResumeRequest, _ call: AsyncCall) async throws -> ResumeResponse {
        ResumeResponse(count: gate.open())
    }

    func wait(_ request: WaitRequest, _ responses: ResponseWriter<Block>, _ call: AsyncCall) async throws {
        try await observer.watch { try await Task.sleep(for: .seconds(86_400)) }
    }

    func fail(_ request: FailRequest, _ responses: ResponseWriter<Block>, _ call: AsyncCall) async throws {
        struct Secret: Error { let text = "nobody should read this" }
        try await observer.watch { throw Secret() }
    }
}

/// Holds handlers back until it is opened for all that wait.
final class Gate: Sendable {
    private let state = Locked((waiting: UInt64(0), openings: UInt64(0)))

    func pass() async throws {
        let before = state.withLock { state in
            state.waiting += 1
            return state.openings
        }
        defer { state.withLock { $0.waiting -= 1 } }
        while state.withLock({ $0.openings }) == before { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Lets go who waits, and says how many they are.
    func open() -> UInt64 {
        state.withLock { state in
            state.openings += 1
            return state.waiting
        }
    }
}
