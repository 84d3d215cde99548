internal import FletchEventLoop
public import FletchRPC
internal import FletchTLS

/// A gRPC channel to one server: any number of calls of all kinds at once, over one HTTP/2 connection.
///
/// It connects at the first call, and again at the next one after the connection was lost. A call fails with
/// `unavailable` where no connection can be made; one that the server provably has not seen is tried once more. When the
/// channel is released, calls under way still come to their end.
public final class Channel: ClientChannel {
    private let connector: Connector

    /// - Parameter target: `host:port`, `[ipv6]:port` or `unix:/path`, the first two also behind `dns:///`.
    /// - Throws: `invalidArgument` where the target or a file of the TLS settings cannot be used; `unavailable` where the
    ///   system gives the channels' loop no thread.
    public init(
        to target: String, _ configuration: ChannelConfiguration = ChannelConfiguration()
    ) throws(RPCError) {
        let target = try Target(target)
        do {
            let context = try configuration.tls.map { try TLSClientContext($0) }
            connector = Connector(
                to: target, configuration, tls: context, on: try ClientLoop.shared.get())
        } catch let error as TLSError {
            throw RPCError(.invalidArgument, error.description)
        } catch {
            throw RPCError(.unavailable, "\(error)")
        }
    }

    deinit { connector.post { $0.shutDown() } }

    public func begin(_ request: CallRequest) throws(RPCError) -> any ClientCall {
        try request.options.metadata.checkSendable()
        if let message = request.message { try CallState.check(message) }
        let call = CallState(request, on: connector)
        connector.post { $0.begin(call) }
        return NetworkCall(call)
    }

    /// Takes no further calls, waits for those under way, and closes the connection.
    public func close() async {
        await withUnsafeContinuation { continuation in
            connector.post {
                $0.whenClosed { continuation.resume() }
                $0.shutDown()
            }
        }
    }
}
