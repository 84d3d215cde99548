import FletchEventLoop
import Testing

@Suite struct ListenAddressTests {
    @Test(arguments: [
        ("127.0.0.1:50051", "127.0.0.1", 50051), ("0.0.0.0:0", "0.0.0.0", 0), ("[::1]:80", "::1", 80),
        ("[::]:65535", "::", 65535),
    ])
    func readsAddresses(_ text: String, _ host: String, _ port: UInt16) throws {
        let address = try ListenAddress(text)
        #expect(address.kind == .internet(host: host, port: port))
        #expect(address.description == text)
    }

    @Test(arguments: ["/run/fletch.sock", "fletch.sock", "///x", "a b:c", String(repeating: "x", count: 107)])
    func readsPaths(_ path: String) throws {
        let address = try ListenAddress("unix:\(path)")
        #expect(address.kind == .unix(path: path))
        #expect(address.description == "unix:\(path)")
    }

    @Test(arguments: [
        "", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:1x",
        "localhost:80",
        "::1:80", "[::1]", "[::1:80", "[127.0.0.1]:80", "256.0.0.1:80", ":80", "[]:80", "1.2.3.4.5:80",
    ])
    func refusesOthersAndNamesTheFlag(_ text: String) {
        #expect {
            try ListenAddress(text, flag: "--listen")
        } throws: { "\($0)".hasPrefix("--listen '\(text)': ") && "\($0)".contains("127.0.0.1:50051") }
    }

    @Test func refusesPathsThatNoSocketCanHave() {
        let long = "unix:" + String(repeating: "x", count: 108)
        #expect {
            try ListenAddress(long)
        } throws: {
            "\($0)" == "--listen '\(long)': the path is longer than 107 bytes; write for example unix:/run/fletch.sock"
        }
        for text in ["unix:", "unix:a\0b"] {
            #expect {
                try ListenAddress(text)
            } throws: { "\($0)".hasSuffix(": the path is missing; write for example unix:/run/fletch.sock") }
        }
    }
}
