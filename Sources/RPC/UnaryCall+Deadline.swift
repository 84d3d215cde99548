extension UnaryCall {
    /// For handlers that work for longer: ends the call where nobody waits for its answer any more.
    ///
    /// - Throws: `deadlineExceeded` where the caller's deadline has passed.
    public func checkDeadline() throws(RPCError) {
        guard storage.pointee.deadline != .max, storage.pointee.clock() >= storage.pointee.deadline else { return }
        throw Rejection.deadlineExceeded.error
    }
}
