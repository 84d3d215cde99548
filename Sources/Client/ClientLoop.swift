internal import FletchEventLoop
internal import FletchHTTP2
internal import FletchTLS

/// The loop that all channels of the process share: a thread of its own, from the first channel to the end of the
/// process. Messages are encoded, compressed and decoded on the threads of their callers.
final class ClientLoop: @unchecked Sendable {
    static let shared = Result { try ClientLoop() }

    let proxy: LoopProxy
    // On the loop's thread alone.
    let loop: EventLoop
    let output = OutputBuffer()
    let tlsBuffers: TLSBuffers
    private var dirty: [ClientConnection] = []
    private var hook: LoopHook?

    private init() throws {
        let loop = try EventLoop()
        self.loop = loop
        proxy = loop.proxy
        tlsBuffers = TLSBuffers(maxWriteBytes: output.capacity)
        let hook = LoopHook(on: loop) { [unowned self] in flush() }
        self.hook = hook
        do {
            _ = try LoopThread { [self] in self.loop.run() }
        } catch {
            // A loop ends with nothing open.
            hook.close()
            loop.close()
            throw error
        }
    }

    /// Lets `connection` send, once for all that happens in this turn of the loop.
    func flushLater(_ connection: ClientConnection) { dirty.append(connection) }

    private func flush() {
        while !dirty.isEmpty {
            let connections = dirty
            dirty = []
            for connection in connections { connection.flush() }
        }
    }
}

extension Duration {
    /// In nanoseconds, between 0 and what fits.
    var clampedNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return .max }
        let (sum, carry) = product.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return carry ? .max : sum
    }

    /// In milliseconds as timers take them, rounded up.
    var timerMilliseconds: UInt64 { clampedNanoseconds / 1_000_000 + 1 }
}
