internal import FletchCompression
internal import FletchHTTP2

/// One call on the server's side, as a state machine without sockets or clock:
///
///     idle --begin--> receiving --message--> answered --clear--> idle
///                         |  \---(rejected)---^  ^
///                         |\--run--> running -----/
///                         \--bePlain--> plain ----/
///
/// `begin` reads the header fields, `receive` gathers the message, `message` ends the request. Each throws the
/// rejection that answers the call at once; the owner then marks it answered. Pooled with its stream.
struct ServerCall: ~Copyable {
    enum Phase: UInt8 {
        case idle, receiving, running, plain, answered
    }

    private(set) var phase = Phase.idle
    /// What compressed messages of the request are compressed with.
    private(set) var encoding: CompressionAlgorithm?
    /// The method's number in the table; nil where the request names none.
    private(set) var method: Int?
    /// When the header fields arrived, in nanoseconds of the monotonic clock.
    private(set) var startedAt: UInt64 = 0
    /// In nanoseconds of the monotonic clock.
    private(set) var deadline = UInt64.max
    /// When the request must have arrived: the deadline or the server's patience, whichever is first.
    private(set) var expiry = UInt64.max
    private(set) var maxRequestBytes = 0
    private(set) var buffer = MessageBuffer()
    private var unaryTraffic = CallTraffic()
    /// How many of the loop's interceptors await the call's end.
    var interceptors = 0
    /// What the answer's fields live in while they are sent, where they are not the common ones.
    var head: FieldBlock?
    var trailers: FieldBlock?
    /// What the call's handler has of it, where that is a task.
    private(set) var async: AsyncCall?

    mutating func begin(
        _ stream: borrowing FletchHTTP2.Stream, methods: borrowing MethodTable, accepted: CompressionAlgorithms,
        requestTimeout: UInt64, now: UInt64
    ) throws(Rejection) {
        phase = .receiving
        startedAt = now
        guard !stream.headersTooLarge else { throw .headersTooLarge }
        let head = try RequestHead(stream.fields, methods: methods, accepted: accepted, now: now)
        method = head.method
        deadline = head.deadline
        encoding = head.encoding
        expiry = min(deadline, now.addingClamped(requestTimeout))
        maxRequestBytes = methods[head.method].pointee.maxRequestBytes
    }

    /// Waits for the end of a request that is no call, as long as for that of a call.
    mutating func bePlain(requestTimeout: UInt64) {
        phase = .plain
        expiry = startedAt.addingClamped(requestTimeout)
    }

    mutating func receive(_ bytes: UnsafeRawBufferPointer, budget: inout ConnectionBudget) throws(Rejection) {
        try buffer.append(bytes, limit: maxRequestBytes, isEncoded: encoding != nil, budget: &budget)
    }

    /// The message of the request that just ended.
    mutating func message(now: UInt64) throws(Rejection) -> UnsafeRawBufferPointer {
        guard now < deadline else { throw .deadlineExceeded }
        let message = try buffer.message()
        unaryTraffic.addRequest(message.count)
        return message
    }

    /// What has gone to and fro so far.
    var traffic: CallTraffic { async?.traffic ?? unaryTraffic }

    /// Why the request has waited too long by `now`, if it has.
    func overdue(now: UInt64) -> Rejection? {
        guard isWaiting, now >= expiry else { return nil }
        return now >= deadline ? .deadlineExceeded : .requestTimedOut
    }

    /// Whether the call can be late: its request or its handler is not done.
    var isWaiting: Bool { phase != .idle && phase != .answered }

    /// Goes on as a task; its request may take as long as the caller lets it.
    mutating func run(_ async: AsyncCall) {
        phase = .running
        expiry = deadline
        self.async = async
    }

    /// Gives the request away to whoever outlives the call.
    mutating func takeBuffer() -> MessageBuffer {
        defer { buffer = MessageBuffer() }
        return buffer
    }

    mutating func markAnswered() { phase = .answered }

    /// Takes a response with its prefix; false where the budget does not allow it.
    mutating func keep(_ response: UnsafeRawBufferPointer, budget: inout ConnectionBudget) -> Bool {
        guard buffer.replace(with: response, budget: &budget) else { return false }
        unaryTraffic.addResponse(response.count &- MessagePrefix.byteCount)
        return true
    }

    /// Makes the call ready for the stream's next use.
    mutating func clear(budget: inout ConnectionBudget) {
        phase = .idle
        method = nil
        unaryTraffic = CallTraffic()
        deadline = .max
        expiry = .max
        buffer.clear(budget: &budget)
        head?.destroy()
        head = nil
        trailers?.destroy()
        trailers = nil
        async = nil
    }
}
