import Testing

@testable import CodeGenerator

@Suite struct FingerprintTests {
    private let files: [FileDescriptorProto]

    init() throws { files = try request("quirks").protoFile }

    /// The fingerprint of quirks.proto where it, or the file that it imports, is changed.
    private func fingerprint(
        imported: (inout FileDescriptorProto) -> Void = { _ in }, _ change: (inout FileDescriptorProto) -> Void
    ) -> String {
        var files = files
        imported(&files[0])
        change(&files[1])
        return Fingerprint(files).of(files[1])
    }

    @Test func whatMeansTheSameDoesNotCount() {
        let original = fingerprint { _ in }
        #expect(original.count == 16)
        let same = [
            fingerprint { $0.sourceCodeInfo = nil },
            fingerprint { $0.messageType.reverse() },
            fingerprint { $0.messageType[0].field.reverse() },
            fingerprint { $0.service.reverse() },
            fingerprint { $0.service[1].method.reverse() },
            // Not of two names for one number: JSON writes the first.
            fingerprint { $0.enumType[0].value.swapAt(3, 4) },
            fingerprint { $0.name = "elsewhere.proto" },
            fingerprint { $0.options?.swiftPrefix = "Other" },
            fingerprint { $0.dependency = [] },
            // Messages have presence with and without `optional`.
            fingerprint {
                $0.messageType[1].field[7].proto3Optional = false
                $0.messageType[1].field[7].oneofIndex = nil
            },
            // Packed is the default.
            fingerprint { $0.messageType[2].field[0].options = FieldOptions(packed: true) },
            fingerprint(imported: { $0.name = "elsewhere.proto" }) { $0.dependency = ["elsewhere.proto"] },
            fingerprint(imported: { $0.messageType.append(DescriptorProto(name: "Unused")) }) { _ in },
            fingerprint(imported: { $0.service.append(ServiceDescriptorProto(name: "Unused")) }) { _ in },
        ]
        for (index, other) in same.enumerated() { #expect(other == original, "change \(index)") }
    }

    @Test func whatTheWireOrJSONOrGeneratedCodeSeesCounts() {
        let fingerprints = [
            fingerprint { _ in },
            fingerprint { $0.package = "other" },
            fingerprint { $0.messageType[0].name = "Other" },
            fingerprint { $0.messageType[0].field[0].name = "other" },
            fingerprint { $0.messageType[0].field[0].jsonName = "other" },
            fingerprint { $0.messageType[0].field[0].number = 99 },
            fingerprint { $0.messageType[0].field[0].type = .float },
            fingerprint { $0.messageType[0].field[0].label = .repeated },
            fingerprint { $0.messageType[0].field.removeLast() },
            fingerprint { $0.messageType[1].field[0].proto3Optional = false },
            fingerprint { $0.messageType[2].field[17].options = nil },
            fingerprint { $0.messageType[2].field[0].options = FieldOptions(packed: false) },
            fingerprint { $0.messageType[3].oneofDecl[0].name = "other" },
            fingerprint { $0.messageType[3].field[0].oneofIndex = nil },
            fingerprint { $0.messageType[4].nestedType[0].options = nil },
            fingerprint { $0.messageType.append(DescriptorProto(name: "Other")) },
            fingerprint { $0.enumType[0].value[1].number = 9 },
            fingerprint { $0.enumType[0].value[1].name = "OTHER" },
            fingerprint { $0.enumType[0].value.swapAt(1, 2) },
            fingerprint { $0.service[0].method[0].name = "Other" },
            fingerprint { $0.service[0].method[0].outputType = ".quirks.Empty" },
            fingerprint { $0.service[0].method[0].clientStreaming = true },
            fingerprint { $0.service[0].method[0].serverStreaming = true },
            fingerprint { $0.service[0].name = "Other" },
            fingerprint(imported: { $0.messageType[0].field[0].number = 99 }) { _ in },
            fingerprint(imported: { $0.enumType[0].value[1].name = "OTHER" }) { _ in },
        ]
        #expect(Set(fingerprints).count == fingerprints.count)
    }

    /// The text that is hashed, as codegen/README.md describes it.
    @Test func theTextIsCanonical() {
        let file = FileDescriptorProto(
            name: "a.proto", package: "a",
            messageType: [
                DescriptorProto(
                    name: "M",
                    field: [
                        FieldDescriptorProto(
                            name: "some_e", number: 1, label: .repeated, type: .enum, typeName: ".b.E",
                            jsonName: "someE"),
                        FieldDescriptorProto(
                            name: "text", number: 2, label: .optional, type: .string, jsonName: "text"),
                    ])
            ],
            service: [
                ServiceDescriptorProto(
                    name: "S",
                    method: [
                        MethodDescriptorProto(
                            name: "Get", inputType: ".a.M", outputType: ".a.M", serverStreaming: true)
                    ])
            ])
        let imported = FileDescriptorProto(
            name: "b.proto", package: "b",
            enumType: [EnumDescriptorProto(name: "E", value: [EnumValueDescriptorProto(name: "E_ZERO")])])
        #expect(
            Fingerprint([imported, file]).text(of: file) == """
                enum b.E
                field a.M 1 some_e b.E packed someE
                field a.M 2 text 9 implicit text
                message a.M
                method a.S Get a.M a.M false true
                service a.S
                value b.E 0 0 E_ZERO

                """)
    }
}
