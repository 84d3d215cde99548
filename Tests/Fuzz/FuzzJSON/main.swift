// Reads arbitrary text as JSON of protobuf's test message, or arbitrary bytes as that message. What is taken must come
// back: text as bytes, bytes as text, and once more as the same; and it must not grow.

internal import CLibFuzzer
internal import ConformanceSchema
internal import FletchJSON
internal import FletchWire
internal import Glibc

private typealias TestMessage = ProtobufTestMessages_Proto3_TestAllTypesProto3

/// One input of libFuzzer: text, or behind a `b` an encoded message.
private func fuzzJSON(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let input = UnsafeBufferPointer(start: start, count: count)
    if input[0] == UInt8(ascii: "b") { checkBytes(Array(input.dropFirst())) } else { checkText(Array(input)) }
    return 0
}

private let type = TestMessage.descriptor

private func checkText(_ text: [UInt8]) {
    var ignoring = JSONDecodingOptions()
    ignoring.ignoreUnknownFields = true
    let lenient = try? JSONTranscoder.encoded(text, of: type, options: ignoring)
    do throws(JSONError) {
        let encoded = try JSONTranscoder.encoded(text, of: type)
        precondition(encoded == lenient, "what has nothing unknown depends on what becomes of that")
        // The most for the least is a number in a list of google.protobuf.Values: two characters, eleven bytes.
        precondition(encoded.count <= 8 * text.count, "the message is far larger than its text")
        precondition(
            (try? TestMessage(decoding: encoded))?.encoded() == encoded, "a message is not encoded canonically")
        guard let printed = try? JSONTranscoder.json(encoded, of: type) else {
            preconditionFailure("what came from JSON does not become JSON")
        }
        precondition((try? JSONTranscoder.encoded(printed, of: type)) == encoded, "a message does not survive JSON")
    } catch {
        precondition(!error.description.isEmpty && error.description.utf8.count < 4096 + text.count)
    }
}

private func checkBytes(_ bytes: [UInt8]) {
    let printed = try? JSONTranscoder.json(bytes, of: type)
    if let message = try? TestMessage(decoding: bytes) {
        precondition((try? message.jsonUTF8Bytes()) == printed, "a message is read otherwise than it is decoded")
    }
    guard let printed else { return }
    // Levels of maps count when they are read, as in the encoding, and not when they are printed.
    var options = JSONDecodingOptions()
    options.messageDepthLimit = 1000
    guard let encoded = try? JSONTranscoder.encoded(printed, of: type, options: options) else {
        preconditionFailure("JSON of our own is refused")
    }
    precondition((try? JSONTranscoder.json(encoded, of: type)) == printed, "JSON does not survive its message")
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzJSON))
