import FletchTLS
import TLSPeer
import TestSupport
import Testing

@Suite struct ContextTests {
    private let directory = TemporaryDirectory()

    private func file(_ text: String) -> String {
        let path = "\(directory.path)/file.pem"
        writeBytes(Array(text.utf8), to: path)
        return path
    }

    private func refusal(_ change: (inout TLSFiles) -> Void) throws -> String {
        var files = Files.of()
        change(&files)
        do {
            _ = try TLSContext(files)
        } catch {
            return error.description
        }
        Issue.record("was not refused")
        return ""
    }

    @Test func tellsUntilWhenItIsValid() throws {
        #expect(try TLSContext(Files.of()).validUntil.hasSuffix(" GMT"))
    }

    @Test func namesAFileThatIsMissing() throws {
        #expect(
            try refusal { $0.certificateChain = "/none/a.pem" }
                == "certificate file '/none/a.pem' cannot be read: No such file or directory")
        #expect(
            try refusal { $0.privateKey = "/none/a.key" }
                == "key file '/none/a.key' cannot be read: No such file or directory")
        #expect(
            try refusal { $0.clientAuthorities = "/none/ca.pem" }
                == "client CA file '/none/ca.pem' cannot be read: No such file or directory")
    }

    @Test func namesADirectory() throws {
        let path = directory.path
        #expect(
            try refusal { $0.certificateChain = path } == "certificate file '\(path)' cannot be read: Is a directory")
    }

    @Test func refusesFilesOfOtherKinds() throws {
        let (certificate, key) = (Files.of().certificateChain, Files.of().privateKey)
        let path = file("nothing")
        for (wrong, contents) in [(key, "a key"), (path, "text")] {
            #expect(
                try refusal { $0.certificateChain = wrong }
                    == "certificate file '\(wrong)' holds no certificate: it must be PEM, '-----BEGIN CERTIFICATE-----'",
                "\(contents)")
        }
        for wrong in [certificate, path] {
            #expect(
                try refusal { $0.privateKey = wrong }
                    == "key file '\(wrong)' holds no private key: it must be PEM, '-----BEGIN PRIVATE KEY-----'")
        }
        #expect(try refusal { $0.certificateChain = file("") }.hasSuffix("file.pem' is empty"))
    }

    @Test func refusesDamage() throws {
        let text = String(decoding: readBytes(Files.of().certificateChain), as: UTF8.self)
        let cut = file(text + text.prefix(text.count / 2))
        let reason = try refusal { $0.certificateChain = cut }
        #expect(reason.hasPrefix("certificate file '\(cut)' holds a damaged certificate after 1 good ones: "))
        let key = String(decoding: readBytes(Files.of().privateKey), as: UTF8.self)
        let damaged = file(key.replacing("\nM", with: "\nQ"))
        #expect(
            try refusal { $0.privateKey = damaged }.hasPrefix("key file '\(damaged)' holds a damaged private key: "))
    }

    @Test func refusesAFileThatIsTooLarge() throws {
        #expect(
            try refusal { $0.certificateChain = "/dev/zero" }
                == "certificate file '/dev/zero' is larger than 4 MiB: name a PEM file")
        let text = String(decoding: readBytes(Files.of().certificateChain), as: UTF8.self)
        let chain = file(String(repeating: text, count: 400))
        #expect(try refusal { $0.certificateChain = chain }.contains("more than the 100 KiB of certificates"))
    }

    @Test func refusesAnotherKey() throws {
        let files = Files.of()
        let other = Files.of("client").privateKey
        #expect(
            try refusal { $0.privateKey = other }
                == "key file '\(other)' does not belong to the first certificate of '\(files.certificateChain)': "
                + "give the two made together")
    }

    @Test func refusesAnEncryptedKeyWithoutAsking() throws {
        let key = Files.certificates.key("encrypted")
        #expect(
            try refusal { $0.privateKey = key }
                == "key file '\(key)' is encrypted, and a server cannot be asked for its passphrase: "
                + "decrypt it with openssl pkey")
    }

    @Test func refusesAnExpiredCertificate() throws {
        let reason = try refusal { $0 = Files.of("expired") }
        #expect(reason.contains("expired.pem' has expired on ") && reason.hasSuffix(" GMT: renew it"))
    }
}
