import FletchCompression
import Quirks
import FletchRPC
import ScriptedPeer
import Testing
import FletchWire

private typealias Text = QNode

private func request(_ text: String) -> [UInt8] { Text(value: text).encoded() }

private func packed(_ plain: [UInt8], _ algorithm: CompressionAlgorithm) -> [UInt8] {
    let compressor = Compressor()
    return withExtendedLifetime(compressor) {
        plain.withUnsafeBytes { Array(compressor.compress($0, algorithm, headroom: 0)!) }
    }
}

private func unpacked(_ bytes: [UInt8], _ algorithm: CompressionAlgorithm) throws -> [UInt8] {
    let decompressor = Decompressor()
    return try withExtendedLifetime(decompressor) {
        try bytes.withUnsafeBytes { Array(try decompressor.decompress($0, algorithm, limit: 1 << 20)) }
    }
}

/// The messages of a response's data with their flags.
private func messages(_ data: [UInt8]) -> [(flag: UInt8, bytes: [UInt8])] {
    var messages: [(UInt8, [UInt8])] = []
    var rest = data[...]
    while let flag = rest.first {
        let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
        messages.append((flag, Array(rest.dropFirst(5).prefix(length))))
        rest = rest.dropFirst(5 + length)
    }
    return messages
}

/// Long enough to be worth compressing.
private let long = String(repeating: "related products ", count: 200)

/// Methods of every kind that send back what they get, and say in a field whether it came compressed.
///
/// - Parameter choice: What the handlers say about their responses.
private func methods(_ choice: Bool?) -> [Method] {
    let maxRequestBytes = 5000
    return [
        Method(path: "/test.Pack/Inline", maxRequestBytes: maxRequestBytes) { (call: UnaryCall) throws(RPCError) in
            try call.addTrailingMetadata("x-compressed", "\(call.requestIsCompressed)")
            if let choice { call.compressesResponse = choice }
            let request = try call.decode(Text.View.self, limits: DecodeLimits())
            let response = Text.Builder(in: call.arena)
            response.value = request.value
            try call.respond(response)
        },
        Method(path: "/test.Pack/Later", maxRequestBytes: maxRequestBytes) { (call: UnaryCall) throws(RPCError) in
            call.respondLater { call in
                await Task.yield()
                let request = try call.decode(Text.View.self, limits: DecodeLimits())
                try call.addTrailingMetadata("x-compressed", "\(call.requestIsCompressed)")
                call.compressesResponse = choice
                let response = Text.Builder(in: try call.arena())
                response.value = request.value
                try call.respond(response)
            }
        },
        Method(
            path: "/test.Pack/Unary", maxRequestBytes: maxRequestBytes,
            unary: { (request: Text, call) in
                try call.addTrailingMetadata("x-compressed", "\(call.requestIsCompressed)")
                call.compressesResponse = choice
                return request
            }),
        Method(
            path: "/test.Pack/Server", maxRequestBytes: maxRequestBytes,
            serverStreaming: { (request: Text, responses: ResponseWriter<Text>, call) in
                try call.addTrailingMetadata("x-compressed", "\(call.requestIsCompressed)")
                try await responses.write(request, compressed: choice)
            }),
        Method(
            path: "/test.Pack/Client", maxRequestBytes: maxRequestBytes,
            clientStreaming: { (requests: RequestStream<Text>, call) in
                call.compressesResponse = choice
                var last = Text()
                for try await request in requests { last = request }
                try call.addTrailingMetadata("x-compressed", "\(call.requestIsCompressed)")
                return last
            }),
        Method(
            path: "/test.Pack/Both", maxRequestBytes: maxRequestBytes,
            bidirectional: { (requests: RequestStream<Text>, responses: ResponseWriter<Text>, call) in
                for try await request in requests { try await responses.write(request, compressed: choice) }
                try call.addTrailingMetadata("x-compressed", "\(call.requestIsCompressed)")
            }),
        // Compresses what begins with a capital, and says nothing of what begins with a space.
        Method(
            path: "/test.Pack/Each",
            bidirectional: { (requests: RequestStream<Text>, responses: ResponseWriter<Text>, _) in
                for try await request in requests {
                    let choice = request.value.first?.isUppercase ?? false
                    try await responses.write(request, compressed: request.value.hasPrefix(" ") ? nil : choice)
                }
            }),
    ]
}

private let kinds = ["Inline", "Later", "Unary", "Server", "Client", "Both"]

@Suite struct CompressionTests {
    private func call(
        _ kind: String, _ body: [UInt8], encoding: String? = nil, accept: String? = nil, choice: Bool? = nil,
        settings: CompressionSettings = CompressionSettings()
    ) -> PeerReader.Response {
        let harness = Harness(compression: settings, methods: methods(choice))
        let changes = [("grpc-encoding", encoding), ("grpc-accept-encoding", accept)]
        harness.send(
            headersFrame(stream: 1, requestFields("/test.Pack/\(kind)", replacing: changes))
                + dataFrame(stream: 1, body))
        #expect(harness.response().ended && harness.response().httpStatus == "200")
        #expect(harness.dispatcher.runningHandlers == 0 && harness.dispatcher.bytesInFlight == 0)
        return harness.response()
    }

    // MARK: Requests

    @Test(arguments: kinds, CompressionAlgorithm.allCases)
    func takesCompressedRequests(_ kind: String, _ algorithm: CompressionAlgorithm) throws {
        let body = framed(packed(request(long), algorithm), flag: 1)
        let response = call(kind, body, encoding: "\(algorithm.name)")
        #expect(response.status == 0 && response["x-compressed"] == "true")
        #expect(response["grpc-encoding"] == nil)
        #expect(messages(response.data).map(\.bytes) == [request(long)])
    }

    @Test(arguments: kinds) func takesPlainMessagesUnderAnEncoding(_ kind: String) {
        for encoding in ["gzip", "identity"] {
            let response = call(kind, framed(request("short")), encoding: encoding)
            #expect(response.status == 0 && response["x-compressed"] == "false")
        }
    }

    @Test func eachMessageOfAStreamIsCompressedOrNot() {
        let plain = framed(request("one"))
        let squeezed = framed(packed(request(long), .gzip), flag: 1)
        let response = call("Both", plain + squeezed + plain + squeezed, encoding: "gzip")
        #expect(messages(response.data).map(\.bytes) == [request("one"), request(long), request("one"), request(long)])
    }

    @Test(arguments: kinds) func refusesWhatItCannotUnpack(_ kind: String) {
        let good = packed(request(long), .gzip)
        var damaged = good
        damaged[good.count / 2] ^= 0xFF
        let cases: [(bytes: [UInt8], encoding: String?, text: String)] = [
            (good, nil, "grpc-encoding is identity"),
            (good, "identity", "grpc-encoding is identity"),
            (good, "deflate", "damaged"),
            (good, "zstd", "damaged"),
            (damaged, "gzip", "damaged"),
            (Array(good.dropLast()), "gzip", "ends too early"),
            ([], "gzip", "ends too early"),
            (good + [0, 0], "gzip", "damaged"),
            (packed(request(long), .deflate) + [0], "deflate", "bytes follow"),
        ]
        for (bytes, encoding, text) in cases {
            let response = call(kind, framed(bytes, flag: 1), encoding: encoding)
            #expect(response.status == Int(StatusCode.internal.rawValue), "\(text)")
            #expect(response["grpc-message"]?.contains(text) == true, "\(response["grpc-message"] ?? "") \(text)")
            #expect(response.data.isEmpty)
        }
        #expect(call(kind, framed(good, flag: 2), encoding: "gzip").status == Int(StatusCode.internal.rawValue))
    }

    @Test(arguments: kinds) func namesWhatItTakesWhereAnEncodingIsUnknown(_ kind: String) {
        for name in ["snappy", "GZIP", "gzip,deflate", "", "x-gzip"] {
            let response = call(kind, framed(request("x")), encoding: name)
            #expect(response.status == Int(StatusCode.unimplemented.rawValue))
            #expect(response["grpc-accept-encoding"] == "identity,gzip,deflate,zstd")
        }
        var settings = CompressionSettings()
        settings.accepted = .init(.zstd)
        let refused = call(kind, framed(request("x")), encoding: "gzip", settings: settings)
        #expect(refused.status == Int(StatusCode.unimplemented.rawValue))
        #expect(refused["grpc-accept-encoding"] == "identity,zstd")
    }

    @Test(arguments: kinds) func holdsTheLimitOnWhatIsUnpacked(_ kind: String) {
        // The method takes 5000 bytes; field number and length take 3 of them.
        for (count, status) in [(4997, StatusCode.ok), (4998, .resourceExhausted), (1 << 20, .resourceExhausted)] {
            let body = packed(request(String(repeating: "a", count: count)), .gzip)
            #expect(body.count < 5000)
            let response = call(kind, framed(body, flag: 1), encoding: "gzip")
            #expect(response.status == Int(status.rawValue), "\(count)")
        }
    }

    // MARK: Responses

    @Test(arguments: kinds, CompressionAlgorithm.allCases)
    func compressesWhereTheHandlerWantsIt(_ kind: String, _ algorithm: CompressionAlgorithm) throws {
        let response = call(
            kind, framed(request(long)), accept: "identity, \(algorithm.name), snappy", choice: true)
        #expect(response["grpc-encoding"] == "\(algorithm.name)" && response.status == 0)
        let message = try #require(messages(response.data).first)
        #expect(message.flag == 1 && message.bytes.count < 200)
        #expect(try unpacked(message.bytes, algorithm) == request(long))
        #expect(response["x-compressed"] == "false")
    }

    @Test(arguments: kinds) func isOffUnlessSomebodyWantsIt(_ kind: String) {
        let response = call(kind, framed(request(long)), accept: "gzip,deflate,zstd")
        #expect(response["grpc-encoding"] == nil && messages(response.data).map(\.flag) == [0])
    }

    @Test(arguments: kinds) func usesNothingThatTheCallerDoesNotList(_ kind: String) {
        for accept in [nil, "", "identity", "snappy, GZIP", "gzip2"] {
            let response = call(kind, framed(request(long)), accept: accept, choice: true)
            #expect(response["grpc-encoding"] == nil)
            #expect(messages(response.data).map(\.flag) == [0] && response.status == 0)
        }
    }

    @Test(arguments: kinds) func settingsDecideWhereTheHandlerDoesNot(_ kind: String) throws {
        let settings = try CompressionSettings("deflate,gzip:\(request(long).count)", flag: "--compress")
        let large = call(kind, framed(request(long)), accept: "gzip,deflate,zstd", settings: settings)
        #expect(large["grpc-encoding"] == "deflate" && messages(large.data).map(\.flag) == [1])
        let other = call(kind, framed(request(long)), accept: "zstd,gzip", settings: settings)
        #expect(other["grpc-encoding"] == "gzip" && messages(other.data).map(\.flag) == [1])
        let small = call(kind, framed(request(String(long.dropLast()))), accept: "gzip", settings: settings)
        #expect(messages(small.data).map(\.flag) == [0])
        let unwanted = call(kind, framed(request(long)), accept: "gzip", choice: false, settings: settings)
        #expect(messages(unwanted.data).map(\.flag) == [0])
    }

    @Test(arguments: kinds) func sendsWhatDoesNotShrinkAsItIs(_ kind: String) {
        let response = call(kind, framed(request("a1B")), accept: "gzip,deflate,zstd", choice: true)
        #expect(messages(response.data).map(\.flag) == [0] && response.status == 0)
    }

    @Test func eachResponseOfAStreamIsCompressedAsItsHandlerSays() throws {
        let plain = long
        let wanted = "R" + long
        let undecided = " " + long
        func flags(_ texts: String...) -> [UInt8] {
            let body = texts.flatMap { framed(request($0)) }
            return messages(call("Each", body, accept: "gzip").data).map(\.flag)
        }
        #expect(flags(wanted, plain, wanted, undecided) == [1, 0, 1, 0])
        #expect(flags(plain, wanted) == [0, 1])
        // The header fields are out, without an encoding.
        #expect(flags(undecided, wanted) == [0, 0])
    }

    @Test func acceptedEncodingsMayComeInSeveralFields() throws {
        let harness = Harness(methods: methods(true))
        let fields =
            requestFields("/test.Pack/Inline") + [
                ("grpc-accept-encoding", "identity"), ("grpc-accept-encoding", "deflate"),
            ]
        harness.send(headersFrame(stream: 1, fields) + dataFrame(stream: 1, framed(request(long))))
        #expect(harness.response()["grpc-encoding"] == "deflate")
    }

    // MARK: Settings

    @Test func readsSettings() throws {
        let one = try CompressionSettings("zstd", flag: "--compress")
        #expect(one.preferred == [.zstd] && one.minResponseBytes == 1024)
        let two = try CompressionSettings("gzip,zstd:0", flag: "--compress")
        #expect(two.preferred == [.gzip, .zstd] && two.minResponseBytes == 0)
    }

    @Test(arguments: [
        ("", "'' is none of"), ("br", "'br' is none of"), ("gzip,", "'' is none of"), ("gzip,gzip", "twice"),
        ("gzip:", "number of bytes"), ("gzip:-1", "number of bytes"), ("gzip:1k", "number of bytes"),
        (":100", "'' is none of"), ("GZIP", "'GZIP' is none of"),
    ]) func refusesOtherSettings(_ text: String, _ reason: String) {
        let error = #expect(throws: CompressionSettings.Invalid.self) {
            try CompressionSettings(text, flag: "--compress")
        }
        #expect(error?.description.hasPrefix("--compress '\(text)': ") == true)
        #expect(error?.description.contains(reason) == true)
    }
}
