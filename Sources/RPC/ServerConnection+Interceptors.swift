internal import FletchHTTP2

// What interceptors are shown of a connection's calls.

extension ServerConnection {
    private func intercepted(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) -> InterceptedCall {
        InterceptedCall(call.pointee, Metadata(fields: stream.pointee.fields), peer, dispatcher.methods)
    }

    /// Shows a call to the interceptors.
    ///
    /// - Returns: What the first that refuses it says.
    @inline(never)
    func announce(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>
    ) -> RPCError? {
        let intercepted = intercepted(call, on: stream)
        for interceptor in dispatcher.interceptors {
            do throws(RPCError) {
                try interceptor.callStarted(intercepted)
            } catch {
                return RPCError(thrown: error)
            }
            call.pointee.interceptors &+= 1
        }
        return nil
    }

    /// Tells the interceptors that have seen a call how it ended.
    @inline(never)
    func announceEnd(
        _ call: UnsafeMutablePointer<ServerCall>, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>,
        _ code: StatusCode
    ) {
        let intercepted = intercepted(call, on: stream)
        let outcome = CallOutcome(
            code: code, duration: dispatcher.clock() &- call.pointee.startedAt, traffic: call.pointee.traffic)
        while call.pointee.interceptors > 0 {
            call.pointee.interceptors &-= 1
            dispatcher.interceptors[call.pointee.interceptors].callEnded(intercepted, outcome)
        }
    }
}
