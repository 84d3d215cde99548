internal import FletchCompression
public import FletchHTTP2
internal import FletchWire

/// What one call may ask of the server, beside the connection's ``HTTP2/Limits``.
public struct CallLimits: Sendable, Hashable {
    /// The largest request message where a method sets no limit of its own: gRPC's usual 4 MiB.
    public var maxRequestBytes = 4 << 20
    /// The largest request message of single methods, by their paths: what an operator sets beside the methods' own.
    public var maxRequestBytesByPath: [String: Int] = [:]
    /// Bytes that all calls may hold in requests, unsent answers and running handlers; beyond it calls are shed with
    /// RESOURCE_EXHAUSTED. A server gives each of its loops an equal share.
    public var maxBytesInFlight = 512 << 20
    /// Once half of its loop's bytes (or running handlers) are taken, a connection gets more of them only while its calls
    /// hold at most one part in so many of what is free; further calls on it are shed. So connections that only take (requests that never
    /// end, answers never read) always leave some for the others, however many they are. 0: first come, first served.
    public var connectionShare = 16
    /// How long a request may take to arrive, in nanoseconds: a call that never completes must not stay. `UInt64.max`:
    /// as long as it likes.
    public var requestTimeout: UInt64 = 60_000_000_000
    /// Bytes of a streamed response that wait for the peer before its handler waits, too: two frames of 16 KiB are under
    /// way while the handler makes the next messages.
    public var maxQueuedResponseBytes = 64 << 10
    /// Handlers that run as tasks at once, streams that only wait included; further calls are shed. A server gives each
    /// of its loops an equal share.
    public var maxRunningHandlers = 100_000
    /// How long a call that is ready may wait for its loop before its handler begins, in nanoseconds; after that it is
    /// shed. Look-ups take microseconds: who has waited this long has given up, and working for those who have keeps an
    /// overloaded server overloaded.
    public var maxQueueingDelay: UInt64 = 2_000_000_000

    public init() {}

    /// The limits of one of a server's loops.
    public func share(ofLoops count: Int) -> CallLimits {
        var share = self
        share.maxBytesInFlight /= count
        share.maxRunningHandlers = max(1, maxRunningHandlers / count)
        return share
    }
}

/// The methods of one loop and what its calls share: arena, budget, counters. Used by one thread only.
public final class Dispatcher {
    /// Memory for the messages of one call; larger ones overflow to the heap.
    private static let arenaCapacity = 64 << 10

    public let resources: SessionResources
    public let output = OutputBuffer()

    /// What every call changes. Behind a pointer, since exclusivity checks of a class's properties cost more than
    /// the changes themselves.
    struct Shared {
        var counters = Counters()
        var runningHandlers = 0
    }

    /// What the loop has done so far.
    public var counters: Counters {
        get { shared.pointee.counters }
        set { shared.pointee.counters = newValue }
    }

    /// What the loop has done so far, with what its interceptors have counted.
    public var allCounters: Counters {
        var counters = counters
        for interceptor in interceptors { interceptor.contribute(to: &counters) }
        return counters
    }

    /// Bytes that open calls hold beyond their pooled buffers: what `CallLimits.maxBytesInFlight` bounds.
    public var bytesInFlight: Int { limits.maxBytesInFlight - budget.pointee.available }

    /// Free memory kept for the next calls.
    public var keptBytes: Int { budget.pointee.keptBytes }

    let methods: MethodTable
    let interceptors: [Interceptor]
    let limits: CallLimits
    let clock: () -> UInt64
    let turnStart: () -> UInt64
    let executor: any CallExecutor
    /// For the messages of handlers that run as tasks.
    let arenas = ArenaPool()
    let arena = Arena(capacity: Dispatcher.arenaCapacity)
    let shared: UnsafeMutablePointer<Shared>
    /// What all connections share; they take of it by their ``ConnectionBudget``.
    let budget: UnsafeMutablePointer<ByteBudget>
    /// Handlers run one after the other, so one storage serves all calls.
    let storage: UnsafeMutablePointer<UnaryCallStorage>
    let coding: MessageCoding
    /// What requests for `/` that are no calls are answered with; nil: nothing but their rejection.
    let plainPage: PlainPage?
    let okTrailers = FieldBlock([.init("grpc-status", "0")])

    /// A dispatcher of `methods`.
    ///
    /// - Parameters:
    ///   - executor: Runs the handlers that are tasks, on the thread that uses the dispatcher.
    ///   - interceptors: See every call, in this order.
    ///   - plainEndpoint: Whether GET and POST of `/` that are no gRPC calls are answered with 200 and a short text.
    ///   - clock: The monotonic clock, in nanoseconds.
    ///   - turnStart: When the loop last learned what has arrived, by the same clock: what is taken up now has waited
    ///     since then. nil: just before it is taken up.
    public init(
        methods: [Method], interceptors: [Interceptor] = [], limits: CallLimits = CallLimits(),
        connectionLimits: Limits = Limits(), compression: CompressionSettings = CompressionSettings(),
        plainEndpoint: Bool = false,
        executor: any CallExecutor, clock: @escaping () -> UInt64, turnStart: (() -> UInt64)? = nil
    ) {
        self.methods = MethodTable(
            methods, defaultMaxRequestBytes: limits.maxRequestBytes, maxRequestBytes: limits.maxRequestBytesByPath)
        self.interceptors = interceptors
        // Not by `??`, which makes of a closure a slower one.
        if let turnStart { self.turnStart = turnStart } else { self.turnStart = clock }
        self.limits = limits
        self.executor = executor
        coding = MessageCoding(compression)
        plainPage = plainEndpoint ? PlainPage() : nil
        self.clock = clock
        resources = SessionResources(limits: connectionLimits, releaseContext: destroyCall)
        shared = .allocate(capacity: 1)
        shared.initialize(to: Shared())
        budget = .allocate(capacity: 1)
        budget.initialize(to: ByteBudget(bytes: limits.maxBytesInFlight, connectionShare: limits.connectionShare))
        storage = .allocate(capacity: 1)
        storage.initialize(to: UnaryCallStorage())
    }

    /// Hears of errors that handlers throw and callers are not told: with the method's path, on the loop's thread.
    public var onFailure: (_ path: String, any Error) -> Void = { _, _ in }

    /// The status of what a handler threw; what callers are not told is reported.
    func outcome(of error: any Error, method: Int?) -> RPCError {
        if !(error is RPCError), !(error is CancellationError), let method {
            onFailure(methods[method].pointee.method.path, error)
        }
        return RPCError(thrown: error)
    }

    /// Lets go of free memory beyond what the calls of a sixteenth of a second need, longer than most are under way,
    /// given how many began in the last second.
    ///
    /// - Returns: Whether so much was given back by now that it is worth telling the system.
    public func shrink(callsPerSecond: Int) -> Bool {
        let before = freeBytes
        let calls = callsPerSecond / 16
        resources.shrink(toRequests: calls)
        budget.pointee.shrink(toCalls: calls)
        givenBack += before - freeBytes + coding.shrink()
        guard budget.pointee.fallFromPeak(atLeast: 4 << 20) || givenBack >= 1 << 20 else { return false }
        givenBack = 0
        return true
    }

    /// Free memory let go of that the system was not told of.
    private var givenBack = 0

    /// Memory that waits for the next calls.
    private var freeBytes: Int { resources.freeBytes + keptBytes }

    /// Handlers that run as tasks now, those included whose callers are gone.
    public var runningHandlers: Int { shared.pointee.runningHandlers }

    /// Why a response of `byteCount` bytes finds no room.
    func shedding(_ byteCount: Int) -> Rejection {
        byteCount > budget.pointee.mostForOneConnection ? .responseTooLarge : .overloaded
    }

    func handlerStarted() { shared.pointee.runningHandlers &+= 1 }
    func handlerEnded() { shared.pointee.runningHandlers &-= 1 }

    deinit {
        budget.pointee.destroy()
        budget.deinitialize(count: 1)
        budget.deallocate()
        shared.deinitialize(count: 1)
        shared.deallocate()
        storage.deinitialize(count: 1)
        storage.deallocate()
        arena.destroy()
        plainPage?.head.destroy()
        okTrailers.destroy()
    }
}

/// The answer to a request for `/` that is no call: for testers of HTTP/2 frames, which know no gRPC.
struct PlainPage {
    private static let text: StaticString = "This is a gRPC server.\n"

    let head = FieldBlock([
        .init(":status", "200"), .init("content-type", "text/plain"),
        .init("content-length", String(text.utf8CodeUnitCount)),
    ])
    let body = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}

/// The call that belongs to a pooled stream, made when the stream is first used.
func call(of stream: UnsafeMutablePointer<FletchHTTP2.Stream>) -> UnsafeMutablePointer<ServerCall> {
    if let context = stream.pointee.context { return context.assumingMemoryBound(to: ServerCall.self) }
    let call = UnsafeMutablePointer<ServerCall>.allocate(capacity: 1)
    call.initialize(to: ServerCall())
    stream.pointee.context = UnsafeMutableRawPointer(call)
    return call
}

private func destroyCall(_ context: UnsafeMutableRawPointer) {
    let call = context.assumingMemoryBound(to: ServerCall.self)
    call.pointee.buffer.destroy()
    call.deinitialize(count: 1)
    call.deallocate()
}
