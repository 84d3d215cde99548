/// Where the sessions of one loop put their bytes: one connection at a time, so all of them share it.
public final class TLSBuffers {
    /// A record is 16 KiB at most and grows by its header, nonce, padding and tag when it is encrypted (RFC 8446
    /// section 5.2); 64 bytes are more than any suite that we allow adds.
    private static let recordBytes = 16 << 10
    private static let recordOverhead = 64
    /// What a session may say beside encrypted data: a handshake's certificates and authorities, tickets, alerts. More
    /// than `TLSContext` lets grow.
    private static let handshakeBytes = 192 << 10
    /// What one read decrypts at most: enough for all that a socket gives at once, and so for one call upwards.
    private static let plaintextBytes = 128 << 10

    let plaintext: UnsafeMutableRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer
    private var count = 0

    /// - Parameter maxWriteBytes: The most that is given to ``TLSSession/encrypt(_:)`` before ``clear()``.
    public init(maxWriteBytes: Int) {
        let records = maxWriteBytes / Self.recordBytes + 1
        plaintext = .allocate(byteCount: Self.plaintextBytes, alignment: 16)
        output = .allocate(
            byteCount: maxWriteBytes + records * Self.recordOverhead + Self.handshakeBytes, alignment: 16)
    }

    deinit {
        plaintext.deallocate()
        output.deallocate()
    }

    /// What is to be sent as it is: encrypted data and the sessions' own messages.
    public var ciphertext: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: output[..<count]) }

    /// Makes room for the next connection or write.
    public func clear() { count = 0 }

    /// Appends a piece of ciphertext; false where it does not fit.
    func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= output.count - count else { return false }
        UnsafeMutableRawBufferPointer(rebasing: output[count...]).copyMemory(from: bytes)
        count += bytes.count
        return true
    }
}
