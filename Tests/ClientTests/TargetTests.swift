import FletchRPC
import Testing

@testable import FletchClient

@Suite struct TargetTests {
    @Test(arguments: [
        ("127.0.0.1:50051", Target.Place.host("127.0.0.1", port: 50051), "127.0.0.1:50051", "127.0.0.1"),
        ("[::1]:80", .host("::1", port: 80), "[::1]:80", "::1"),
        ("shop.example:1", .host("shop.example", port: 1), "shop.example:1", "shop.example"),
        ("dns:///shop.example:1", .host("shop.example", port: 1), "shop.example:1", "shop.example"),
        ("dns:1", .host("dns", port: 1), "dns:1", "dns"),
        ("unix:/run/x", .unix(path: "/run/x"), "localhost", "localhost"),
    ])
    func readsAddresses(text: String, place: Target.Place, authority: String, serverName: String) throws {
        let target = try Target(text)
        #expect(target.place == place && target.authority == authority && target.serverName == serverName)
    }

    @Test(arguments: [
        ("", "has no port"), ("nowhere", "has no port"), ("[::1]", "has no port"), ("dns:///nowhere", "has no port"),
        (":50051", "has no host"), ("[]:1", "has no host"), ("::1:50051", "is an IPv6 address without brackets"),
        ("host:", "has no port from 1 to 65535"), ("host:0", "has no port from 1 to 65535"),
        ("host:65536", "has no port from 1 to 65535"), ("host:http", "has no port from 1 to 65535"),
        ("a b:1", "has characters that no address has"), ("http://localhost:50051", "is a URL"),
        ("dns://8.8.8.8/host:1", "is a URL"), ("/run/fletch.sock", "is a path"), ("unix:", "has no path"),
        ("unix:/\0", "has a zero byte"),
        ("unix:/" + String(repeating: "x", count: 108), "has a path of more than 107 bytes"),
    ])
    func refusesWhatIsNoTarget(text: String, reason: String) {
        let error = #expect(throws: RPCError.self) { try Channel(to: text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.hasPrefix("server '\(text)' \(reason)") == true)
        #expect(error?.message.contains("; write for example shop.example:443, ") == true)
    }
}

@Suite struct EncodingTests {
    @Test(arguments: [
        (Duration.zero, "0n"), (.nanoseconds(1), "1n"), (.nanoseconds(99_999_999), "99999999n"),
        (.milliseconds(100), "100000u"), (.seconds(10), "10000000u"), (.seconds(100), "100000m"),
        (.seconds(99_999_999), "99999999S"), (.seconds(100_000_000), "1666666M"), (.seconds(-3), "0n"),
    ])
    func timeoutsHaveAtMostEightDigits(timeout: Duration, header: String) {
        #expect(encodeTimeout(timeout) == header)
    }

    @Test(arguments: [
        (Duration.zero, 0 as UInt64), (.seconds(-1), 0), (.milliseconds(1), 1_000_000), (.nanoseconds(1), 1),
        (.seconds(Int64.max), .max),
    ])
    func durationsAreClampedToWhatClocksTake(duration: Duration, nanoseconds: UInt64) {
        #expect(duration.clampedNanoseconds == nanoseconds)
    }

    @Test(arguments: [
        ("plain", "plain"), ("a%20b", "a b"), ("%E2%82%AC", "€"), ("100%", "100%"), ("%4", "%4"), ("%zz", "%zz"),
        ("%+1", "%+1"), ("%25%32", "%2"),
    ])
    func percentEncodingIsUndone(text: String, decoded: String) {
        #expect(percentDecoded(text) == decoded)
    }
}
