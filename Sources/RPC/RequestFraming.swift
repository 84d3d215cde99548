/// The messages of a streamed request while they come in: a queue of bytes, and how far its messages are complete.
struct RequestFraming {
    private var queue = ByteQueue()
    /// Bytes from the queue's start to the first message that is not complete.
    private var completeBytes = 0
    private var completeMessages = 0

    var hasMessage: Bool { completeMessages > 0 }
    /// Whether the queue ends inside a message.
    var endsInsideMessage: Bool { queue.count > completeBytes }

    /// Takes what arrived; each prefix is judged as soon as it is complete.
    mutating func append(
        _ bytes: UnsafeRawBufferPointer, limit: Int, isEncoded: Bool, budget: inout ConnectionBudget
    ) throws(Rejection) {
        guard queue.append(bytes, budget: &budget) else { throw .overloaded }
        while let message = try messageBytes(at: completeBytes, limit: limit, isEncoded: isEncoded),
            message <= queue.count &- completeBytes
        {
            completeBytes &+= message
            completeMessages &+= 1
        }
    }

    /// The first message without its prefix, valid until the queue changes.
    var first: UnsafeRawBufferPointer {
        precondition(hasMessage, "took a message that has not arrived")
        let length = UInt32(bigEndian: queue.bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        let start = MessagePrefix.byteCount
        return UnsafeRawBufferPointer(rebasing: queue.bytes[start..<start + Int(length)])
    }

    /// Forgets the first message.
    ///
    /// - Returns: The bytes that it took, prefix included.
    mutating func dropFirst(budget: inout ConnectionBudget) -> Int {
        let byteCount = MessagePrefix.byteCount &+ first.count
        queue.drop(byteCount, budget: &budget)
        completeBytes &-= byteCount
        completeMessages &-= 1
        return byteCount
    }

    mutating func destroy(budget: inout ConnectionBudget) {
        queue.destroy(budget: &budget)
        self = RequestFraming()
    }

    /// The bytes of the message that begins at `offset`, prefix included; nil where its prefix is not complete.
    private func messageBytes(at offset: Int, limit: Int, isEncoded: Bool) throws(Rejection) -> Int? {
        guard queue.count &- offset >= MessagePrefix.byteCount else { return nil }
        let prefix = UnsafeRawBufferPointer(rebasing: queue.bytes[offset...])
        return try MessagePrefix.byteCount &+ MessagePrefix.messageLength(prefix, limit: limit, isEncoded: isEncoded)
    }
}
