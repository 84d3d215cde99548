import Testing

@testable import FletchHTTP2

private let head = [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", "x")]

/// Whether a head of `fields` makes a request.
private func isRequest(_ fields: [(String, String)]) -> Bool {
    var check = MessageCheck()
    for (name, value) in fields {
        let taken = bytes(name) { name in bytes(value) { check.takes(name, $0) } }
        if !taken { return false }
    }
    return check.isRequest
}

private func bytes<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(text.utf8).withUnsafeBytes(body)
}

@Suite struct MessageCheckTests {
    @Test func takesRequests() {
        #expect(isRequest(head))
        #expect(isRequest(head + [("te", "trailers"), ("x", ""), ("content-length", "7")]))
        #expect(isRequest(Array(head.dropLast()) + [("host", "x")]))
        #expect(isRequest([(":method", "CONNECT"), (":authority", "x:1")]))
    }

    @Test(arguments: 0..<4)
    func wantsEveryPseudoHeaderOnce(_ index: Int) {
        var fields = head
        fields.insert(head[index], at: 0)
        #expect(!isRequest(fields))
        fields = head
        fields.remove(at: index)
        #expect(!isRequest(fields))
    }

    @Test(arguments: [
        (":status", "200"), (":protocol", "x"), (":", "x"), ("", "x"), ("X", "x"), ("x y", "x"), ("x:", "x"),
        ("connection", "x"), ("keep-alive", "x"), ("proxy-connection", "x"), ("transfer-encoding", "x"),
        ("upgrade", "x"), ("te", "gzip"), ("content-length", "-1"), ("content-length", "1234567890123456789"),
        ("host", "a b"), ("x", "\u{7F}"), ("x", "a\nb"), ("x", "0123456789\0"), ("x", "0123456789abcde\r"),
    ])
    func refusesFieldsThatNoRequestHas(_ field: (String, String)) {
        #expect(!isRequest(head + [field]))
    }

    @Test func refusesPseudoHeadersAfterFields() {
        #expect(!isRequest([("x", "y")] + head))
    }

    @Test func holdsTheBodyAgainstItsLength() {
        var check = MessageCheck()
        let isTaken = bytes("content-length") { name in bytes("10") { check.takes(name, $0) } }
        let bodies = [9, 1, 1].map { ($0, check.takes(bodyBytes: $0), check.isComplete) }
        #expect(isTaken)
        #expect(bodies.map(\.1) == [true, true, false])
        #expect(bodies.map(\.2) == [false, true, false])
    }

    /// Every byte at every place, against the definition.
    @Test func looksAtEveryByteOfAValue() {
        for count in 1...20 {
            for place in 0..<count {
                for byte in UInt8.min...UInt8.max {
                    var value = [UInt8](repeating: UInt8(ascii: "v"), count: count)
                    value[place] = byte
                    let isAllowed = byte == UInt8(ascii: "\t") || (byte > 0x1F && byte != 0x7F)
                    let isTaken = value.withUnsafeBytes { FieldSyntax.isValue($0) }
                    if isTaken != isAllowed { Issue.record("byte \(byte) at \(place) of \(count)") }
                    let isPath = value.withUnsafeBytes { FieldSyntax.isPath($0) }
                    if isPath != (byte > 0x20 && byte != 0x7F) { Issue.record("path, byte \(byte) at \(place)") }
                }
            }
        }
    }

    @Test func cutsSpaceAroundValues() {
        for (value, wanted) in [(" a ", "a"), ("\t a b\t", "a b"), ("  ", ""), ("", ""), ("a", "a")] {
            bytes(value) { #expect(String(decoding: $0.withoutSurroundingSpace, as: UTF8.self) == wanted) }
        }
    }
}
