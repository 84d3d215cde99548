/// Sees the calls of one loop: before anything is worked on, and at their end. What it holds is used by that loop's
/// thread alone.
///
/// Events rather than a chain of closures around handlers: an inline call allocates nothing with interceptors, and
/// without them pays for one comparison. A class to inherit from rather than a protocol, as `HTTP2.SessionDelegate`:
/// a call through an existential counts references.
open class Interceptor {
    public init() {}

    /// The header fields of a call have arrived; of its messages nothing has been read yet. Called in the order of the
    /// interceptors.
    ///
    /// A call that its header fields have ruled out already (unknown method, no gRPC, too large) is seen, too; what is
    /// thrown then changes nothing.
    ///
    /// - Throws: What the call is answered with instead. The interceptors behind this one do not see the call, and
    ///   this one not its end.
    open func callStarted(_ call: InterceptedCall) throws(RPCError) {}

    /// The call is over: its status is on its way, or its caller is gone. Once for every call that started, in the
    /// opposite order.
    open func callEnded(_ call: InterceptedCall, _ outcome: CallOutcome) {}

    /// Adds what the interceptor has counted to what the loop has.
    open func contribute(to counters: inout Counters) {}
}

/// One call as interceptors see it: valid during the event, never kept beyond it.
public struct InterceptedCall {
    /// The method's place among the loop's methods, for tables with an entry for each; nil where the call names none.
    public let methodIndex: Int?
    /// The metadata that came with the request.
    public let metadata: Metadata
    /// Who calls.
    public let peer: Peer
    /// When the caller stops waiting, in nanoseconds of the monotonic clock; `UInt64.max`: never.
    public let deadline: UInt64
    /// When the header fields arrived, by the same clock.
    public let startedAt: UInt64
    private let methodPath: String?

    init(_ call: borrowing ServerCall, _ metadata: Metadata, _ peer: Peer, _ methods: borrowing MethodTable) {
        methodIndex = call.method
        methodPath = call.method.map { methods[$0].pointee.method.path }
        self.metadata = metadata
        self.peer = peer
        deadline = call.deadline
        startedAt = call.startedAt
    }

    /// The method's path; where the server has no such method, whatever the caller sent.
    public var path: String { methodPath ?? metadata[":path"] ?? "" }
}

/// How a call ended.
public struct CallOutcome {
    public let code: StatusCode
    /// From the header fields' arrival to the status, in nanoseconds.
    public let duration: UInt64
    public let traffic: CallTraffic
}

/// Messages of a call and their bytes as they travelled, without prefixes.
public struct CallTraffic: Sendable, Hashable {
    public private(set) var requestMessages = 0
    public private(set) var requestBytes = 0
    public private(set) var responseMessages = 0
    public private(set) var responseBytes = 0

    mutating func addRequest(_ byteCount: Int) {
        requestMessages &+= 1
        requestBytes &+= byteCount
    }

    mutating func addResponse(_ byteCount: Int) {
        responseMessages &+= 1
        responseBytes &+= byteCount
    }
}
