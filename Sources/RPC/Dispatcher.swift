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
    }

    /// What the loop has done so far.
    public var counters: Counters {
        get { shared.pointee.counters }
        set { shared.pointee.counters = newValue }
    }

    /// Bytes that open calls hold beyond their pooled buffers: what `CallLimits.maxBytesInFlight` bounds.
    public var bytesInFlight: Int { limits.maxBytesInFlight - shared.pointee.budget.available }

    let methods: MethodTable
    let limits: CallLimits
    let clock: () -> UInt64
    let arena = Arena(capacity: Dispatcher.arenaCapacity)
    let shared: UnsafeMutablePointer<Shared>
    /// Handlers run one after the other, so one storage serves all calls.
    let storage: UnsafeMutablePointer<UnaryCallStorage>
    let okHead = FieldBlock([.init(":status", "200"), .init("content-type", "application/grpc")])
    let okTrailers = FieldBlock([.init("grpc-status", "0")])

    /// A dispatcher of `methods`.
    ///
    /// - Parameter clock: The monotonic clock, in nanoseconds.
    public init(
        methods: [UnaryMethod], limits: CallLimits = CallLimits(), connectionLimits: Limits = Limits(),
        clock: @escaping () -> UInt64
    ) {
        self.methods = MethodTable(methods, defaultMaxRequestBytes: limits.maxRequestBytes)
        self.limits = limits
        self.clock = clock
        resources = SessionResources(limits: connectionLimits, releaseContext: destroyCall)
        shared = .allocate(capacity: 1)
        shared.initialize(to: Shared(budget: ByteBudget(bytes: limits.maxBytesInFlight)))
        storage = .allocate(capacity: 1)
        storage.initialize(to: UnaryCallStorage(clock: clock))
    }

    deinit {
        shared.deinitialize(count: 1)
        shared.deallocate()
        storage.deinitialize(count: 1)
        storage.deallocate()
        arena.destroy()
        okHead.destroy()
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
