internal import FletchEventLoop
internal import FletchRPC
internal import FletchTLS

/// Gives a channel's calls the connection, which it makes when there is none. On the loop's thread, but for
/// ``post(_:)``.
final class Connector: @unchecked Sendable {
    let target: Target
    let configuration: ChannelConfiguration
    let tls: TLSClientContext?
    let loop: ClientLoop

    private var connection: ClientConnection?
    private var attempt: ConnectionAttempt?
    /// Calls that wait for the attempt.
    private var waiting: [CallState] = []
    /// Connections that take no further calls, but have some.
    private var retired: [ObjectIdentifier: ClientConnection] = [:]
    private var isShutDown = false
    private var closedActions: [() -> Void] = []

    init(
        to target: Target, _ configuration: ChannelConfiguration, tls: TLSClientContext?, on loop: ClientLoop
    ) {
        self.target = target
        self.configuration = configuration
        self.tls = tls
        self.loop = loop
    }

    /// Runs `body` on the loop's thread, in the order of the calls.
    func post(_ body: @escaping @Sendable (Connector) -> Void) { loop.proxy.post { body(self) } }

    // MARK: Calls

    /// Begins a call of a channel that may have been closed.
    func begin(_ call: CallState) {
        guard !isShutDown else {
            return call.ended(CallEnd(error: RPCError(.unavailable, "the channel is closed")))
        }
        call.startClock()
        place(call)
    }

    /// Gives a call a connection, now or when there is one.
    func place(_ call: CallState) {
        guard !call.isOver else { return }
        if let connection {
            if connection.begin(call) { return }
            retire(connection)
        }
        waiting.append(call)
        if attempt == nil {
            attempt = ConnectionAttempt(self)
            attempt?.start()
        }
    }

    /// A call that waited is over.
    func forget(_ call: CallState) {
        waiting.removeAll { $0 === call }
        closeWhereUnused()
    }

    // MARK: Connections

    func connected(_ connection: ClientConnection) {
        attempt = nil
        self.connection = connection
        connection.start()
        // Else a server that closes at once would have us connect for ever.
        guard connection.isOpen else { return failedToConnect("the server closed the connection at once") }
        let calls = waiting
        waiting = []
        for call in calls { place(call) }
        closeWhereUnused()
    }

    func failedToConnect(_ problem: String) {
        attempt = nil
        let calls = waiting
        waiting = []
        let error = RPCError(.unavailable, "cannot connect to \(target.text): \(problem)")
        for call in calls { call.ended(CallEnd(error: error)) }
        closeWhereUnused()
    }

    /// The connection takes no further calls.
    func retire(_ connection: ClientConnection) {
        guard self.connection === connection else { return }
        self.connection = nil
        guard connection.isOpen else { return }
        retired[ObjectIdentifier(connection)] = connection
        // It closes at the end of the turn, where it has no calls: not while its session reads.
        connection.noteOutput()
    }

    /// Whether further calls go to the connection.
    func uses(_ connection: ClientConnection) -> Bool { self.connection === connection }

    func lost(_ connection: ClientConnection) {
        if self.connection === connection { self.connection = nil }
        retired[ObjectIdentifier(connection)] = nil
    }

    // MARK: The end

    /// Takes no further calls; the connection goes with the last of those under way.
    func shutDown() {
        isShutDown = true
        closeWhereUnused()
    }

    /// Calls `action` when the channel was shut down and the last connection is gone.
    func whenClosed(_ action: @escaping () -> Void) { closedActions.append(action) }

    /// Closes what a channel that was shut down needs no more.
    func closeWhereUnused() {
        guard isShutDown, waiting.isEmpty else { return }
        attempt?.cancel()
        attempt = nil
        if let connection { retire(connection) }
        guard connection == nil, retired.isEmpty else { return }
        let actions = closedActions
        closedActions = []
        for action in actions { action() }
    }
}
