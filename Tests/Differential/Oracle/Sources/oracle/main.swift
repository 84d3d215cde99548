// Answers for swift-protobuf: decodes each message and encodes it again, the entries of maps in order of their keys.

internal import SwiftProtobuf

serve(typeNames: messageTypes.map { $0.protoMessageName }) { type, message in answer(messageTypes[type], message) }

private func answer<M: Message>(_ type: M.Type, _ message: [UInt8]) -> Answer {
    var options = BinaryEncodingOptions()
    options.useDeterministicOrdering = true
    do {
        let encoded: [UInt8] = try M(serializedBytes: message).serializedBytes(options: options)
        return .accepted(encodings: [encoded], brokenLaws: [])
    } catch {
        return .refused(reason: "\(error)")
    }
}
