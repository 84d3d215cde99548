import FletchTLS
import TLSPeer
import Testing

@Suite struct SessionTests {
    @Test(arguments: [12, 13], [1, 7, 64 << 10]) func carriesDataInPiecesOfAnySize(_ version: Int, _ piece: Int) throws
    {
        let link = try Link(Files.of(), Files.client { $0.version = version })
        #expect(link.connect(piece: piece))
        #expect(link.client.protocolName == "h2")
        #expect(link.client.version == "TLSv1.\(version - 10)")
        link.client.write([1, 2, 3])
        link.feed(link.client.takeOutput(), piece: piece)
        #expect(link.received == [1, 2, 3])
        try link.send([4, 5])
        #expect(link.client.read() == [4, 5])
        #expect(link.error == nil)
        #expect(link.session.peerCertificate == nil)
    }

    @Test(arguments: [12, 13]) func carriesAsMuchAsTheBuffersWereMadeFor(_ version: Int) throws {
        let link = try Link(Files.of(), Files.client { $0.version = version })
        #expect(link.connect())
        let data = (0..<Link.maxWriteBytes).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        for _ in 0..<3 {
            try link.send(data)
            #expect(link.client.read() == data)
        }
        link.client.write(data)
        link.feed(link.client.takeOutput())
        #expect(link.received == data)
        link.client.write(data)
        link.feed(link.client.takeOutput(), piece: 1 << 20)
        #expect(link.received == data + data)
    }

    @Test func takesDataThatComesWithTheEndOfTheHandshake() throws {
        let link = try Link()
        #expect(!link.client.handshake())
        link.feed(link.client.takeOutput())
        #expect(link.client.handshake())
        link.client.write([1, 2, 3])
        link.feed(link.client.takeOutput())
        #expect(link.received == [1, 2, 3])
    }

    @Test(arguments: [12, 13]) func resumesSessionsWithTheClientsIdentity(_ version: Int) throws {
        let context = try TLSContext(Files.of(clientAuthorities: "ca"))
        let first = try Link(context, Files.client("client") { $0.version = version })
        #expect(first.connect())
        let client = Files.client("client") { $0.version = version }
        client.resume(first.client)
        let second = try Link(context, client)
        #expect(second.connect())
        #expect(client.isResumed)
        #expect(second.session.peerCertificate == first.session.peerCertificate)
        #expect(second.session.peerCertificate != nil)
    }

    // MARK: The end

    @Test func tellsCloseNotifyFromACut() throws {
        let link = try Link()
        #expect(link.connect())
        link.client.write([1, 2, 3])
        let record = link.client.takeOutput()
        link.feed(Array(record.dropLast()))
        #expect(link.received == [] && link.error == nil && !link.session.peerHasClosed)
        link.feed([record.last!])
        #expect(link.received == [1, 2, 3])
        link.client.write([4])
        link.client.close()
        link.feed(link.client.takeOutput())
        #expect(link.received == [1, 2, 3, 4])
        #expect(link.session.peerHasClosed)
        link.session.close()
        link.deliver()
        _ = link.client.read()
        #expect(link.client.serverHasClosed)
    }

    @Test func saysNothingAtTheEndOfAHandshakeThatNeverWas() throws {
        let link = try Link()
        link.session.close()
        #expect(link.buffers.ciphertext.isEmpty)
    }

    // MARK: Peers that are refused

    @Test(arguments: [[], ["http/1.1"], ["h3", "http/1.1", "h2c"]]) func requiresHTTP2(_ protocols: [String]) throws {
        let link = try Link(Files.of(), Files.client { $0.protocols = protocols })
        #expect(!link.connect())
        #expect(link.error != nil)
        #expect(link.client.error == "tlsv1 alert no application protocol")
    }

    @Test func findsHTTP2AmongOthers() throws {
        let link = try Link(Files.of(), Files.client { $0.protocols = ["http/1.1", "h2", "x"] })
        #expect(link.connect())
        #expect(link.client.protocolName == "h2")
    }

    @Test(arguments: [10, 11]) func refusesOldVersions(_ version: Int) throws {
        let client = Files.client {
            $0.version = version
            $0.ciphers = "ALL"
        }
        let link = try Link(Files.of(), client)
        #expect(!link.connect())
        #expect("\(try #require(link.error))" == "unsupported protocol")
        #expect(client.error == "tlsv1 alert protocol version")
    }

    @Test(arguments: [
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM", "AES128-GCM-SHA256",
    ])
    func refusesSuitesThatHTTP2Prohibits(_ cipher: String) throws {
        let client = Files.client {
            $0.version = 12
            $0.ciphers = cipher
        }
        let link = try Link(Files.of(), client)
        #expect(!link.connect())
        #expect("\(try #require(link.error))" == "no shared cipher")
        #expect(client.error == "sslv3 alert handshake failure")
    }

    @Test(arguments: ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])
    func takesSuitesThatHTTP2Allows(_ cipher: String) throws {
        let client = Files.client {
            $0.version = 12
            $0.ciphers = cipher
        }
        let link = try Link(Files.of(), client)
        #expect(link.connect())
        #expect(client.cipher == cipher)
    }

    @Test func refusesGarbage() throws {
        for bytes in [
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8), [0x16, 3, 1, 0, 4, 1, 0, 0, 0],
            [UInt8](repeating: 0, count: 100),
        ] {
            let link = try Link()
            link.feed(bytes)
            #expect(link.error != nil)
            #expect(!link.session.isEstablished)
        }
    }

    @Test func refusesDataThatWasTamperedWith() throws {
        let link = try Link()
        #expect(link.connect())
        link.client.write([1, 2, 3])
        var record = link.client.takeOutput()
        record[record.count - 1] ^= 1
        link.feed(record)
        #expect(link.error != nil)
        #expect(link.received == [])
        _ = link.client.read()
        #expect(link.client.error == "sslv3 alert bad record mac")
    }

    // MARK: Floods

    @Test func renewsKeysButNotWithoutEnd() throws {
        let link = try Link()
        #expect(link.connect())
        for turn in 0..<100 where link.error == nil {
            link.client.updateKeys()
            link.client.write([UInt8(turn)])
            link.feed(link.client.takeOutput())
            _ = link.client.read()
        }
        #expect(link.received.count == 32)
        #expect("\(try #require(link.error))" == "the peer floods us with records without data")
    }

    @Test func answersAFloodWithinItsBuffers() throws {
        let link = try Link()
        #expect(link.connect())
        var flood: [UInt8] = []
        for _ in 0..<1000 {
            link.client.updateKeys()
            flood += link.client.takeOutput()
        }
        link.feed(flood)
        #expect(link.error != nil)
    }

    @Test func doesNotRenegotiate() throws {
        let link = try Link(Files.of(), Files.client { $0.version = 12 })
        #expect(link.connect())
        link.client.renegotiate()
        link.feed(link.client.takeOutput())
        _ = link.client.read()
        #expect(link.client.error == "no renegotiation")
        #expect(link.received == [])
    }
}

@Suite struct ClientCertificateTests {
    @Test(arguments: [12, 13]) func tellsWhoTheClientIs(_ version: Int) throws {
        let link = try Link(Files.of(clientAuthorities: "ca"), Files.client("client") { $0.version = version })
        #expect(link.connect())
        let certificate = try #require(link.session.peerCertificate)
        #expect(certificate.subject == "CN=checkout,O=Shop\\, Inc.")
        #expect(certificate.dnsNames == ["checkout.shop.example"])
        #expect(certificate.uris == ["spiffe://shop.example/checkout"])
    }

    @Test func requiresACertificate() throws {
        let link = try Link(Files.of(clientAuthorities: "ca"))
        link.connect()
        #expect("\(try #require(link.error))" == "peer did not return a certificate")
        #expect(link.client.error == "tlsv13 alert certificate required")
    }

    @Test func requestsACertificate() throws {
        let link = try Link(Files.of(clientAuthorities: "ca", .request))
        #expect(link.connect())
        #expect(link.session.peerCertificate == nil)
        let known = try Link(Files.of(clientAuthorities: "ca", .request), Files.client("client"))
        #expect(known.connect())
        #expect(known.session.peerCertificate != nil)
    }

    @Test(arguments: [TLSFiles.ClientAuthentication.require, .request])
    func refusesStrangers(_ authentication: TLSFiles.ClientAuthentication) throws {
        let link = try Link(Files.of(clientAuthorities: "ca", authentication), Files.client("stranger"))
        link.connect()
        let error = "\(try #require(link.error))"
        #expect(error == "the client's certificate is refused: unable to get local issuer certificate")
        #expect(link.client.error == "tlsv1 alert unknown ca")
    }

    @Test func refusesAnExpiredClient() throws {
        let link = try Link(Files.of(clientAuthorities: "ca"), Files.client("expired"))
        link.connect()
        #expect("\(try #require(link.error))" == "the client's certificate is refused: certificate has expired")
    }

    @Test func doesNotAskWithoutAuthorities() throws {
        let link = try Link(Files.of(), Files.client("client"))
        #expect(link.connect())
        #expect(link.session.peerCertificate == nil)
    }
}
