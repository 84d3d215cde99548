package import FletchCompression

/// A response message as it came.
package struct ReceivedMessage: Sendable {
    package let bytes: [UInt8]
    /// What it is compressed with.
    package let encoding: CompressionAlgorithm?
}

/// Takes a response's body apart into messages.
struct MessageParser {
    private var prefix: [UInt8] = []
    private var message: [UInt8] = []
    /// Bytes of the message that have not arrived; nil between messages.
    private var left: Int?
    private var isCompressed = false

    /// The beginnings of messages that are given room on the word of their prefixes alone.
    private static let maxReservedBytes = 64 << 10

    /// Whether the body ends inside a message.
    var isInsideMessage: Bool { left != nil || !prefix.isEmpty }

    /// Takes the next bytes of the body and appends the messages that are now complete.
    mutating func parse(
        _ bytes: UnsafeRawBufferPointer, limit: Int, encoding: CompressionAlgorithm?,
        into messages: inout [ReceivedMessage]
    ) throws(RPCError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            if left == nil {
                let taken = rest.prefix(MessagePrefix.byteCount - prefix.count)
                prefix += taken
                rest = rest[taken.endIndex...]
                guard prefix.count == MessagePrefix.byteCount else { return }
                try begin(limit: limit, isEncoded: encoding != nil)
            }
            let taken = rest.prefix(left ?? 0)
            message += taken
            rest = rest[taken.endIndex...]
            left = (left ?? 0) - taken.count
            guard left == 0 else { continue }
            messages.append(ReceivedMessage(bytes: message, encoding: isCompressed ? encoding : nil))
            message = []
            left = nil
        }
    }

    private mutating func begin(limit: Int, isEncoded: Bool) throws(RPCError) {
        let length = prefix[1...].reduce(0) { $0 << 8 | Int($1) }
        switch prefix[0] {
        case 0: isCompressed = false
        case 1 where isEncoded: isCompressed = true
        case 1: throw RPCError(.internal, "the server sent a compressed message and no grpc-encoding")
        default: throw RPCError(.internal, "the server sent a message whose compressed flag is neither 0 nor 1")
        }
        guard length <= limit else { throw .responseTooLarge(limit: limit) }
        prefix.removeAll(keepingCapacity: true)
        message.reserveCapacity(min(length, Self.maxReservedBytes))
        left = length
    }
}

extension RPCError {
    package static func responseTooLarge(limit: Int) -> RPCError {
        RPCError(.resourceExhausted, "a response message is larger than the \(limit) bytes that the call accepts")
    }
}
