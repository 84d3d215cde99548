internal import Glibc

extension UnaryCall {
    /// For handlers that work for longer: ends the call where nobody waits for its answer any more.
    ///
    /// - Throws: `deadlineExceeded` where the caller's deadline has passed.
    public func checkDeadline() throws(RPCError) {
        guard storage.pointee.deadline != .max else { return }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        if UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec) >= storage.pointee.deadline {
            throw RPCError(.deadlineExceeded, "the deadline passed before the answer was ready")
        }
    }
}
