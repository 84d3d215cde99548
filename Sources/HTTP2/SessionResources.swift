internal import CNghttp2

/// What all sessions of one loop share: callbacks, options, pooled memory and streams. Used by one thread only, and
/// outlives its sessions.
public final class SessionResources {
    /// Bytes of header fields that a pooled stream keeps room for: a gRPC request has 200 to 700.
    private static let logCapacity = 1 << 10
    /// Bytes above which a pooled stream gives its room back after the request.
    private static let maxKeptLogCapacity = 4 << 10

    public let limits: Limits
    let callbacks: OpaquePointer
    let options: OpaquePointer
    private let pool: MemoryPool
    let allocator: UnsafeMutablePointer<nghttp2_mem>
    /// Streams that wait for their next use, so that a peak does not keep its memory.
    private static let maxFreeStreams = 1024
    /// What a stream takes with its buffers and its context, about.
    private static let streamBytes = 3 << 10
    /// About what nghttp2 allocates for a request and its answer.
    private static let pooledBytesPerRequest = 4 << 10
    private var freeStreams: UnsafeMutablePointer<Stream>?
    private var freeStreamCount = 0
    private let releaseContext: (UnsafeMutableRawPointer) -> Void

    /// Resources under `limits`; `releaseContext` gets every `Stream.context` when the resources end.
    public init(limits: Limits = Limits(), releaseContext: @escaping (UnsafeMutableRawPointer) -> Void = { _ in }) {
        self.limits = limits
        self.releaseContext = releaseContext
        callbacks = makeCallbacks()
        options = makeOptions(limits)
        pool = MemoryPool()
        allocator = .allocate(capacity: 1)
        allocator.initialize(to: pool.makeAllocator())
    }

    deinit {
        dropFreeStreams(to: 0)
        nghttp2_session_callbacks_del(callbacks)
        nghttp2_option_del(options)
        allocator.deallocate()
        pool.destroy()
    }

    func takeStream(id: Int32) -> UnsafeMutablePointer<Stream> {
        guard let stream = freeStreams else {
            let stream = makeStream()
            stream.pointee.prepare(id: id)
            return stream
        }
        freeStreams = stream.pointee.next
        freeStreamCount &-= 1
        stream.pointee.prepare(id: id)
        return stream
    }

    func returnStream(_ stream: UnsafeMutablePointer<Stream>) {
        guard freeStreamCount < Self.maxFreeStreams else {
            destroy(stream)
            return
        }
        freeStreamCount &+= 1
        stream.pointee.log.trim(above: Self.maxKeptLogCapacity, to: Self.logCapacity)
        stream.pointee.next = freeStreams
        freeStreams = stream
    }

    /// Lets go of free memory beyond what so many requests need.
    public func shrink(toRequests requests: Int) {
        dropFreeStreams(to: requests)
        pool.shrink(toBytes: requests &* Self.pooledBytesPerRequest)
    }

    /// Bytes of memory that waits for the next requests, about.
    public var freeBytes: Int { pool.keptBytes + freeStreamCount * Self.streamBytes }

    private func dropFreeStreams(to count: Int) {
        while freeStreamCount > count, let stream = freeStreams {
            freeStreams = stream.pointee.next
            freeStreamCount &-= 1
            destroy(stream)
        }
    }

    private func destroy(_ stream: UnsafeMutablePointer<Stream>) {
        if let context = stream.pointee.context { releaseContext(context) }
        stream.pointee.log.destroy()
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    @inline(never)
    private func makeStream() -> UnsafeMutablePointer<Stream> {
        let stream = UnsafeMutablePointer<Stream>.allocate(capacity: 1)
        stream.initialize(to: Stream(logCapacity: Self.logCapacity))
        return stream
    }
}

private func makeOptions(_ limits: Limits) -> OpaquePointer {
    var options: OpaquePointer?
    guard nghttp2_option_new(&options) == 0, let options else { fatalError("no memory for nghttp2's options") }
    nghttp2_option_set_no_closed_streams(options, 1)
    nghttp2_option_set_no_auto_window_update(options, 1)
    nghttp2_option_set_no_http_messaging(options, 1)  // MessageCheck
    nghttp2_option_set_stream_reset_rate_limit(options, .max, .max)  // SessionState.peerResets
    nghttp2_option_set_max_deflate_dynamic_table_size(options, limits.headerTableBytes)
    // nghttp2 counts the pieces that a CONTINUATION's header arrives in.
    nghttp2_option_set_max_continuations(options, .max)  // SessionState.continuations
    nghttp2_option_set_max_settings(options, limits.maxSettingsEntries)
    nghttp2_option_set_max_outbound_ack(options, limits.maxOutboundAcknowledgements)
    return options
}
