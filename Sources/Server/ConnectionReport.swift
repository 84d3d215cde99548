/// What an open connection has done so far.
public struct ConnectionReport: Sendable, Hashable {
    /// Its number among all that the server has accepted, from 0.
    public let id: Int
    /// Both ends: `127.0.0.1:5123`, `[::1]:5123`, `unix:`.
    public let localAddress: String
    public let peerAddress: String
    /// By the IANA's name, for example `TLS_AES_128_GCM_SHA256`; nil: plaintext.
    public let cipherSuite: String?
    public let callsStarted: UInt64
    /// Calls that are not over.
    public let callsOpen: Int
    /// Calls that ended without an answer.
    public let callsUnanswered: UInt64
    /// When the last call began, in nanoseconds of the monotonic clock; 0 before the first.
    public let lastCallStarted: UInt64
    public let messagesReceived: UInt64
    public let messagesSent: UInt64
    /// PINGs that asked a silent peer whether it is still there.
    public let keepalivesSent: UInt64
}
