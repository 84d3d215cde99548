import ConformanceSchema
import FletchJSON
import FletchWellKnownTypes
import FletchWire
import Glibc

// Speaks the protocol of protobuf's conformance tests (conformance.proto): reads requests from standard input, each
// behind its length in four bytes of little endian, and answers them on standard output in the same way.

private typealias TestMessage = ProtobufTestMessages_Proto3_TestAllTypesProto3

private func answer(_ request: Conformance_ConformanceRequest) -> Conformance_ConformanceResponse.OneOf_Result {
    // The first request asks which tests are known to fail.
    if request.messageType == "conformance.FailureSet" { return .protobufPayload(Conformance_FailureSet().encoded()) }
    guard request.messageType == TestMessage.descriptor.name else {
        return .skipped("there is no message \(request.messageType) here: Fletch has proto3 only")
    }
    // Tests put messages into Any that the file of the test message does not import.
    let types = JSONTypeRegistry([Google_Protobuf_EmptySchema.file])
    let message: TestMessage
    switch request.payload {
    case .protobufPayload(let bytes):
        do { message = try TestMessage(decoding: bytes) } catch { return .parseError("\(error)") }
    case .jsonPayload(let text):
        var options = JSONDecodingOptions()
        options.types = types
        options.ignoreUnknownFields = request.testCategory == .jsonIgnoreUnknownParsingTest
        do { message = try TestMessage(jsonString: text, options: options) } catch { return .parseError("\(error)") }
    case .jspbPayload, .textPayload, nil: return .skipped("neither JSPB nor the text format is supported")
    }
    switch request.requestedOutputFormat {
    case .protobuf: return .protobufPayload(message.encoded())
    case .json:
        var options = JSONEncodingOptions()
        options.types = types
        do { return .jsonPayload(try message.jsonString(options: options)) } catch {
            return .serializeError("\(error)")
        }
    default: return .skipped("neither JSPB nor the text format is supported")
    }
}

/// Fills the buffer from standard input; false where that ends first.
private func receive(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
    var rest = buffer[...]
    while !rest.isEmpty {
        let count = read(0, UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
    }
    return true
}

/// Writes the bytes to standard output; false where nobody reads any more.
private func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = write(1, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
    }
    return true
}

while true {
    var size: UInt32 = 0
    guard withUnsafeMutableBytes(of: &size, receive) else { break }
    var bytes = [UInt8](repeating: 0, count: Int(UInt32(littleEndian: size)))
    guard bytes.withUnsafeMutableBytes(receive) else { break }
    let response = answer(try Conformance_ConformanceRequest(decoding: bytes))
    let message = Conformance_ConformanceResponse(result: response).encoded()
    guard withUnsafeBytes(of: UInt32(message.count).littleEndian, send), message.withUnsafeBytes(send) else { break }
}
