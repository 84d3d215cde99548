import FletchClient
import FletchCompression
import FletchEventLoop
import FletchRPC
import FletchRichErrors
import FletchSchema
import FletchServer
import FletchTLS
import FletchWire
import Glibc
import Logging
import Quirks
import TLSPeer
import TestSupport
import Testing

/// Calls of every kind through the generated client, against the server in the same process.
@Suite(.timeLimit(.minutes(5))) struct CallTests {
    @Test func everyKindOfCall() async throws {
        let running = try Running()
        let client = running.client
        let received = ReceivedMetadata()
        #expect(try await client.get(QNames(productID: "x"), options: CallOptions(received: received)).aString == "x")
        #expect(received.initial?["fletch-schema"] == QQuirksSchema.file.fingerprint)
        let stream = try await client.list(QNames(productID: "a"))
        #expect(try await stream.initialMetadata["fletch-schema"] == QQuirksSchema.file.fingerprint)
        #expect(try await stream.reduce(0) { count, _ in count + 1 } == 1 && stream.trailingMetadata?.isEmpty == true)
        #expect(try await client.list(QNames(productID: "abc")).reduce(into: "") { $0 += $1.aString } == "abc")
        let all = try await client.record { requests in
            for letter in ["a", "b", "c"] { try await requests.write(QScalars(aString: letter)) }
        }
        #expect(all.productID == "abc")
        let echoed = try await client.chat { requests, responses in
            var text = ""
            var iterator = responses.makeAsyncIterator()
            for letter in ["a", "b", "c"] {
                try await requests.write(QScalars(aString: letter))
                text += try await iterator.next()?.aString ?? "?"
            }
            requests.finish()
            #expect(try await iterator.next() == nil)
            return text
        }
        #expect(echoed == "abc")
        await running.end()
    }

    @Test func unixSocketsAndNames() async throws {
        let directory = TemporaryDirectory()
        let running = try Running(listen: "unix:\(directory.path)/s")
        #expect(try await running.client.get(QNames(productID: "x")).aString == "x")
        await running.end()
        let other = try Running()
        let port = other.address.split(separator: ":").last!
        let channel = try Channel(to: "localhost:\(port)")
        #expect(try await QCallsClient(channel).get(QNames(productID: "y")).aString == "y")
        await channel.close()
        await other.end()
    }

    @Test func encryptedWithCertificatesOnBothSides() async throws {
        let certificates = TestCertificates.shared
        var files = TLSFiles(
            certificateChain: certificates.certificate("server"), privateKey: certificates.key("server"))
        files.clientAuthorities = certificates.certificate("ca")
        let running = try Running(tls: files)
        var settings = TLSClientSettings(
            authorities: certificates.certificate("ca"), certificateChain: certificates.certificate("client"),
            privateKey: certificates.key("client"))
        func failure() async throws -> RPCError? {
            let channel = try Channel(to: running.address, ChannelConfiguration(tls: settings))
            do throws(RPCError) {
                _ = try await QCallsClient(channel).get(QNames(productID: "x"), options: .patient)
                return nil
            } catch {
                return error
            }
        }
        var none = try await failure()
        #expect(none == nil, "\(none!)")
        settings.serverName = "localhost"
        none = try await failure()
        #expect(none == nil, "\(none!)")
        settings.serverName = "shop.example"
        #expect(
            try await failure()?.message.contains(
                "certificate is refused: hostname mismatch, it is not for 'shop.example'; give a name that it is for as "
                    + "'serverName'") == true)
        settings.serverName = "127.0.0.2"
        #expect(try await failure()?.message.contains("IP address mismatch") == true)
        settings.serverName = nil
        settings.authorities = certificates.certificate("stranger-ca")
        let error = try await failure()
        #expect(error?.code == .unavailable && error?.message.contains("certificate is refused") == true)
        #expect(error?.message.hasSuffix("as 'authorities'") == true)
        settings.authorities = certificates.certificate("ca")
        settings.certificateChain = certificates.certificate("stranger")
        settings.privateKey = certificates.key("stranger")
        #expect(try await failure()?.code == .unavailable)
        await running.end()
    }

    /// What OpenSSL or an end of the connection says helps nobody.
    @Test func encryptionOfOneSideAloneIsNamed() async throws {
        let certificates = TestCertificates.shared
        let files = TLSFiles(
            certificateChain: certificates.certificate("server"), privateKey: certificates.key("server"))
        func failure(_ running: Running, _ tls: TLSClientSettings?) async throws -> String? {
            let channel = try Channel(to: running.address, ChannelConfiguration(tls: tls))
            let error = await #expect(throws: RPCError.self) {
                try await QCallsClient(channel).get(QNames(productID: "x"), options: .patient)
            }
            return error?.message
        }
        let encrypted = try Running(tls: files)
        #expect(try await failure(encrypted, nil)?.contains("where it wants TLS, give 'tls'") == true)
        await encrypted.end()
        let plain = try Running()
        let settings = TLSClientSettings(authorities: certificates.certificate("ca"))
        #expect(try await failure(plain, settings)?.contains("the server does not speak TLS") == true)
        await plain.end()
        // Other servers say goodbye by an alert.
        let alerting = ScriptedServer { _, connection in
            connection.send([21, 3, 1, 0, 2, 2, 70])
            connection.read { _ in false }
        }
        let channel = try Channel(to: alerting.target)
        let error = await #expect(throws: RPCError.self) {
            try await QCallsClient(channel).get(QNames(productID: "x"), options: .patient)
        }
        #expect(error?.message.contains("the server wants TLS; give 'tls'") == true)
    }

    @Test(arguments: [
        ("wildcard", "DNS:*.shop.example", ["a.shop.example": true, "a.b.shop.example": false, "shop.example": false]),
        ("partial", "DNS:a*.shop.example", ["ab.shop.example": false]),
        // No name but the subject's.
        ("subject", "IP:127.0.0.1", ["localhost": false, "127.0.0.1": true]),
    ])
    func certificatesAreForTheirNames(certificate: String, names: String, accepts: [String: Bool]) async throws {
        let certificates = TestCertificates.shared
        certificates.sign(certificate, subject: "/CN=localhost", names: names)
        let running = try Running(
            tls: TLSFiles(
                certificateChain: certificates.certificate(certificate), privateKey: certificates.key(certificate)))
        for (name, isAccepted) in accepts {
            let settings = TLSClientSettings(authorities: certificates.certificate("ca"), serverName: name)
            let client = QCallsClient(try Channel(to: running.address, ChannelConfiguration(tls: settings)))
            do throws(RPCError) {
                _ = try await client.get(QNames(productID: "x"), options: .patient)
                #expect(isAccepted, "\(certificate) for \(name)")
            } catch {
                #expect(!isAccepted && error.message.contains("mismatch"), "\(certificate) for \(name): \(error)")
            }
        }
        await running.end()
    }

    @Test(arguments: [
        (TLSClientSettings(authorities: "/nowhere.pem"), "/nowhere.pem"),
        (TLSClientSettings(certificateChain: "/nowhere.pem"), "go together"),
        (TLSClientSettings(certificateChain: "/nowhere.pem", privateKey: "/k"), "/nowhere.pem"),
    ])
    func filesThatCannotBeUsedAreNamed(settings: TLSClientSettings, words: String) {
        let error = #expect(throws: RPCError.self) {
            try Channel(to: "localhost:1", ChannelConfiguration(tls: settings))
        }
        #expect(error?.code == .invalidArgument && error?.message.contains(words) == true)
    }

    @Test func errorsHaveDetailsAndMetadata() async throws {
        let running = try Running()
        let received = ReceivedMetadata()
        var options = CallOptions(metadata: ["x-echo": "one"], received: received)
        options.metadata.append("x-echo-bin", bytes: [0, 1, 255])
        let error = await #expect(throws: RPCError.self) { try await running.client.get(QNames(), options: options) }
        #expect(error?.code == .invalidArgument && error?.message == "product_id is empty: ☺%")
        #expect(error?.detail(ErrorInfo.self)?.reason == "EMPTY")
        #expect(received.trailing?["x-echo"] == "one")
        #expect(received.trailing?.binaryValues("x-echo-bin") == [[0, 1, 255]])
        await running.end()
    }

    @Test func metadataThatCannotBeSentIsRefused() async throws {
        let channel = try Channel(to: "127.0.0.1:1")
        for metadata: MetadataList in [["UPPER": "x"], ["grpc-status": "0"], ["x": "ü"], ["te": "x"], ["x": "a\nb"]] {
            let error = await #expect(throws: RPCError.self) {
                try await QCallsClient(channel).get(QNames(), options: CallOptions(metadata: metadata))
            }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func whatIsTooLargeIsRefusedByItsSide() async throws {
        let running = try Running()
        let client = running.client
        // More than HTTP/2 header lists are sent with here, and then more than the server takes.
        for size in [100_000, 20_000] {
            let options = CallOptions(metadata: ["x": String(repeating: "y", count: size)])
            let error = await #expect(throws: RPCError.self) {
                try await client.get(QNames(productID: "x"), options: options)
            }
            #expect(error?.code == .resourceExhausted)
        }
        let large = QNames(productID: String(repeating: "x", count: 1 << 20))
        #expect(try await client.get(large).aString.utf8.count == 1 << 20)
        for limit in [1 << 20, 0, -1] {
            let error = await #expect(throws: RPCError.self) {
                try await client.get(large, options: CallOptions(maxResponseBytes: limit))
            }
            #expect(error?.code == .resourceExhausted)
        }
        #expect(
            try await client.get(large, options: CallOptions(maxResponseBytes: .max))
                == QScalars(aString: large.productID))
        await running.end()
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func compressesBothWays(algorithm: CompressionAlgorithm) async throws {
        let running = try Running(compress: true)
        let text = String(repeating: "compressible ", count: 10_000)
        let options = CallOptions(compression: algorithm)
        #expect(try await running.client.get(QNames(productID: text), options: options).aString == text)
        let all = try await running.client.record(options: options) { requests in
            try await requests.write(QScalars(aString: text))
            try await requests.write(QScalars(aString: text), compressed: false)
        }
        #expect(all.productID == text + text)
        // What is small on the wire may still be too large.
        let error = await #expect(throws: RPCError.self) {
            try await running.client.get(
                QNames(productID: text), options: CallOptions(compression: algorithm, maxResponseBytes: 50_000))
        }
        #expect(error?.code == .resourceExhausted)
        await running.end()
    }

    @Test func manyCallsShareAConnection() async throws {
        let running = try Running()
        let client = running.client
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<1000 {
                group.addTask {
                    let answer = try await client.get(QNames(productID: "\(number)"))
                    #expect(answer.aString == "\(number)")
                }
            }
            try await group.waitForAll()
        }
        #expect(await running.server.connectionIDs().count == 1)
        await running.end()
    }

    @Test func deadlinesEndCallsOnBothSides() async throws {
        let running = try Running()
        let options = CallOptions(timeout: .milliseconds(50))
        let error = await #expect(throws: RPCError.self) {
            for try await _ in try await running.client.list(QNames(productID: "wait"), options: options) {}
        }
        #expect(error?.code == .deadlineExceeded)
        // Where the call has come so far before its deadline.
        await running.waitUntilNothingIsListed()
        await running.end()
    }

    @Test func cancellingTheTaskCancelsTheCall() async throws {
        let running = try Running()
        let client = running.client
        let task = Task { try await client.list(QNames(productID: "wait")).reduce(0) { sum, _ in sum + 1 } }
        await running.waitUntilStarted()
        task.cancel()
        let error = await #expect(throws: RPCError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        await running.waitUntilCancelled()
        // Beforehand, too.
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            _ = try await client.get(QNames(productID: "x"))
        }
        late.cancel()
        let lateError = await #expect(throws: RPCError.self) { try await late.value }
        #expect(lateError?.code == .cancelled)
        await running.end()
    }

    @Test func aStreamThatNobodyReadsOnIsCancelled() async throws {
        let running = try Running()
        for try await first in try await running.client.list(QNames(productID: "many")) {
            #expect(first.aString == "m")
            break
        }
        await running.waitUntilCancelled()
        _ = try await running.client.chat { _, responses in _ = responses }
        await running.end()
    }

    @Test func writersAndReadersWaitForEachOther() async throws {
        let running = try Running()
        // The server reads nothing until it is told: the writer must stop far below what it would write.
        let written = Locked(0)
        let client = running.client
        let options = CallOptions(metadata: ["x-wait": "1"])
        let task = Task {
            try await client.record(options: options) { requests in
                for _ in 0..<400 {
                    try await requests.write(QScalars(aString: String(repeating: "x", count: 10_000)))
                    written.withLock { $0 += 1 }
                }
            }
        }
        await running.waitUntilStarted()
        let before = await settled { written.withLock { $0 } }
        #expect(before < 200)
        running.gate.withLock { $0 = true }
        #expect(try await task.value.productID.utf8.count == 4_000_000)
        // And the other way: the server's writer stops where nobody reads.
        let stream = try await client.list(QNames(productID: "flood"))
        _ = try await stream.initialMetadata
        let sent = await settled { running.written.withLock { $0 } }
        #expect(sent < 200)
        #expect(try await stream.reduce(0) { sum, next in sum + next.aString.utf8.count } == 4_000_000)
        await running.end()
    }

    @Test func failuresToConnectSayWhatWasTried() async throws {
        let directory = TemporaryDirectory()
        for (target, words) in [
            ("127.0.0.1:1", "cannot connect to 127.0.0.1:1: connection refused"),
            ("unix:\(directory.path)/none", "no such file"), ("no-such-host.invalid:80", "no address for this name"),
            ("localhost:1", "127.0.0.1:1: connection refused"),
            // Refused before anything is sent.
            ("255.255.255.255:1", "cannot connect to 255.255.255.255:1: network is unreachable"),
        ] {
            let error = await #expect(throws: RPCError.self) {
                try await QCallsClient(try Channel(to: target)).get(QNames(), options: .patient)
            }
            #expect(error?.code == .unavailable && error?.message.contains(words) == true, "\(target): \(error!)")
        }
    }

    @Test func aChannelConnectsAgainAndItsEndIsPolite() async throws {
        let first = try Running()
        let channel = first.channel
        let client = first.client
        _ = try await client.get(QNames(productID: "x"))
        first.stopServer()
        let lost = await #expect(throws: RPCError.self) { try await client.get(QNames(productID: "x")) }
        #expect(lost?.code == .unavailable)
        let second = try Running(listen: first.address)
        #expect(try await client.get(QNames(productID: "y")).aString == "y")
        // Calls under way come to their end, others do not begin.
        async let slow = client.get(QNames(productID: "slow"))
        await second.waitUntilStarted(calls: 2)
        async let closed: Void = channel.close()
        #expect(try await slow.aString == "slow")
        await closed
        let late = await #expect(throws: RPCError.self) { try await client.get(QNames(productID: "x")) }
        #expect(late?.message == "the channel is closed")
        await second.end()
    }

    @MainActor @Test func streamsAreWrittenWhereTheirCallerIs() async throws {
        let running = try Running()
        var letters = ["a", "b"]
        let all = try await running.client.record { requests in
            MainActor.assertIsolated()
            while !letters.isEmpty { try await requests.write(QScalars(aString: letters.removeFirst())) }
        }
        #expect(all.productID == "ab" && letters.isEmpty)
        await #expect(throws: CancellationError.self) {
            _ = try await running.client.record { _ in throw CancellationError() }
        }
        await running.end()
    }
}

extension CallOptions {
    /// For calls that must end by themselves, on a machine however slow.
    static var patient: CallOptions { CallOptions(timeout: .seconds(60)) }
}

/// The value once it has stopped growing.
private func settled(_ value: () -> Int) async -> Int {
    var last = -1
    while value() != last || last == 0 {
        last = value()
        try? await Task.sleep(for: .milliseconds(300))
    }
    return last
}
