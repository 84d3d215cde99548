import Testing

@testable import CodeGenerator

@Suite struct FingerprintTests {
    private let file: FileDescriptorProto

    init() throws { file = try request("quirks").protoFile[1] }

    private func fingerprint(_ change: (inout FileDescriptorProto) -> Void) -> String {
        var changed = file
        change(&changed)
        return Fingerprint.of(changed, imports: [])
    }

    @Test func commentsAndOrderDoNotCount() {
        let original = fingerprint { _ in }
        #expect(original.count == 16)
        #expect(fingerprint { $0.sourceCodeInfo = nil } == original)
        #expect(fingerprint { $0.messageType.reverse() } == original)
        #expect(fingerprint { $0.messageType[0].field.reverse() } == original)
        #expect(fingerprint { $0.enumType[0].value.reverse() } == original)
        #expect(fingerprint { $0.name = "elsewhere.proto" } == original)
    }

    @Test func whatTheWireOrGeneratedCodeSeesCounts() {
        let fingerprints = [
            fingerprint { _ in }, fingerprint { $0.package = "other" },
            fingerprint { $0.messageType[0].name = "Other" }, fingerprint { $0.messageType[0].field[0].name = "other" },
            fingerprint { $0.messageType[0].field[0].number = 99 },
            fingerprint { $0.messageType[0].field[0].type = .float },
            fingerprint { $0.messageType[0].field[0].label = .repeated },
            fingerprint { $0.messageType[1].field[0].proto3Optional = false },
            fingerprint { $0.messageType[2].field[17].options = nil },
            fingerprint { $0.messageType[3].oneofDecl[0].name = "other" },
            fingerprint { $0.enumType[0].value[1].number = 9 }, fingerprint { $0.enumType[0].value[1].name = "OTHER" },
            fingerprint { $0.service[0].method[0].name = "Other" },
            fingerprint { $0.service[0].method[0].outputType = ".quirks.Empty" },
            fingerprint { $0.service[0].name = "Other" }, Fingerprint.of(file, imports: ["quirks_imported.proto 1"]),
        ]
        #expect(Set(fingerprints).count == fingerprints.count)
    }
}
