internal import Compression
public import HTTP2
internal import Wire

/// What one call may ask of the server, beside the connection's ``HTTP2/Limits``.
public struct CallLimits: Sendable, Hashable {
    /// The largest request message where a method sets no limit of its own: gRPC's usual 4 MiB.
    public var maxRequestBytes = 4 << 20
    /// Bytes that all calls of a loop may hold in requests and unsent answers; beyond it calls are shed with
    /// RESOURCE_EXHAUSTED.
    public var maxBytesInFlight = 256 << 20
    /// How long a request may take to arrive, in nanoseconds: a call that never completes must not stay.
    public var requestTimeout: UInt64 = 60_000_000_000
    /// Bytes of a streamed response that wait for the peer before its handler waits, too: two frames of 16 KiB are under
    /// way while the handler makes the next messages.
    public var maxQueuedResponseBytes = 64 << 10
    /// Handlers that run as tasks at once on a loop, streams that only wait included; further calls are shed.
    public var maxRunningHandlers = 100_000

    public init() {}
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
        var budget: ByteBudget
        var runningHandlers = 0
    }

    /// What the loop has done so far.
    public var counters: Counters {
        get { shared.pointee.counters }
        set { shared.pointee.counters = newValue }
    }

    /// Bytes that open calls hold beyond their pooled buffers: what `CallLimits.maxBytesInFlight` bounds.
    public var bytesInFlight: Int { limits.maxBytesInFlight - shared.pointee.budget.available }

    /// Free memory kept for the next calls.
    public var keptBytes: Int { shared.pointee.budget.keptBytes }

    let methods: MethodTable
    let limits: CallLimits
    let clock: () -> UInt64
    let executor: any CallExecutor
    /// For the messages of handlers that run as tasks.
    let arenas = ArenaPool()
    let arena = Arena(capacity: Dispatcher.arenaCapacity)
    let shared: UnsafeMutablePointer<Shared>
    /// Handlers run one after the other, so one storage serves all calls.
    let storage: UnsafeMutablePointer<UnaryCallStorage>
    let coding: MessageCoding
    private let plainHead = answerHead([])
    let okTrailers = FieldBlock([.init("grpc-status", "0")])

    /// A dispatcher of `methods`.
    ///
    /// - Parameters:
    ///   - executor: Runs the handlers that are tasks, on the thread that uses the dispatcher.
    ///   - clock: The monotonic clock, in nanoseconds.
    public init(
        methods: [Method], limits: CallLimits = CallLimits(), connectionLimits: Limits = Limits(),
        compression: CompressionSettings = CompressionSettings(), executor: any CallExecutor,
        clock: @escaping () -> UInt64
    ) {
        self.methods = MethodTable(methods, defaultMaxRequestBytes: limits.maxRequestBytes)
        self.limits = limits
        self.executor = executor
        coding = MessageCoding(compression)
        self.clock = clock
        resources = SessionResources(limits: connectionLimits, releaseContext: destroyCall)
        shared = .allocate(capacity: 1)
        shared.initialize(to: Shared(budget: ByteBudget(bytes: limits.maxBytesInFlight)))
        storage = .allocate(capacity: 1)
        storage.initialize(to: UnaryCallStorage(clock: clock))
    }

    /// The header fields of an OK answer that has no metadata.
    func okHead(_ encoding: CompressionAlgorithm?) -> FieldBlock {
        guard let encoding else { return plainHead }
        return coding.okHead(encoding)
    }

    /// Whether calls have given back as many bytes since a peak that it is worth telling the system.
    public func hasFallenFromPeak() -> Bool { shared.pointee.budget.fallFromPeak(atLeast: 4 << 20) }

    /// Handlers that run as tasks now, those included whose callers are gone.
    public var runningHandlers: Int { shared.pointee.runningHandlers }

    func handlerStarted() { shared.pointee.runningHandlers &+= 1 }
    func handlerEnded() { shared.pointee.runningHandlers &-= 1 }

    deinit {
        shared.pointee.budget.destroy()
        shared.deinitialize(count: 1)
        shared.deallocate()
        storage.deinitialize(count: 1)
        storage.deallocate()
        arena.destroy()
        plainHead.destroy()
        okTrailers.destroy()
    }
}

/// The call that belongs to a pooled stream, made when the stream is first used.
func call(of stream: UnsafeMutablePointer<HTTP2.Stream>) -> UnsafeMutablePointer<ServerCall> {
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
