import Quirks
import FletchRPC
import Testing
import FletchWire

@testable import CodeGenerator

/// What reflection hands out of a file.
@Suite struct DescriptorTests {
    private let file = QQuirksSchema.file

    @Test func namesAndDependencies() {
        #expect(file.name == "quirks.proto")
        #expect(file.dependencies.map(\.name) == ["quirks_imported.proto"])
        #expect(file.dependencies[0] === Quirks_Imported_QuirksImportedSchema.file)
        #expect(QCalls.descriptor.name == "quirks.Calls" && QCalls.descriptor.file === file)
    }

    @Test func messagesKnowTheirFile() {
        #expect(QScalars.descriptor.file === file && QNested.Inner.descriptor.file === file)
        #expect(Quirks_Imported_Colour.descriptor.file === Quirks_Imported_QuirksImportedSchema.file)
    }

    @Test func symbols() {
        #expect(file.symbols.first == "quirks.Scalars" && file.symbols.last == "quirks.Calls.Chat")
        #expect(Set(file.symbols).count == file.symbols.count)
        let wanted: Set = [
            "quirks.Nested.Inner.Innermost", "quirks.Names.Type", "quirks.Maps.CountsEntry", "quirks.Level",
            "quirks.Quirky", "quirks.Quirky.GetById",
        ]
        #expect(wanted.isSubset(of: file.symbols))
    }

    /// protoc's own bytes, but for the comments: every other field in its place, also those that our part of
    /// descriptor.proto does not name (`json_name`) or would drop (the 0 of an enum value).
    @Test func serializedAsProtocSentIt() throws {
        let sent = try request("quirks").protoFile[1]
        var expected = sent
        expected.sourceCodeInfo = nil
        #expect(try FileDescriptorProto(decoding: file.serialized) == expected)
        #expect(sent.sourceCodeInfo != nil)

        // tag 10, length 5, "aBool" of the field a_bool; and number 0 of LEVEL_UNSPECIFIED.
        let names: [[UInt8]] = [[0x52, 5] + Array("aBool".utf8), Array("LEVEL_UNSPECIFIED".utf8) + [0x10, 0]]
        for name in names { #expect(file.serialized.contains(name)) }
        // Comments are found in the request, and not here.
        let comment = Array("Everything that the generator must get right".utf8)
        #expect(try recordedRequest("quirks").contains(comment) && !file.serialized.contains(comment))
    }

    /// Fields that our part of descriptor.proto does not name may be groups.
    @Test func unknownGroupsStay() throws {
        // Number 100: number 1 as a varint, and as a group with number 2, a string.
        let group: [UInt8] = [0xa3, 6, 0x08, 1, 0x0b, 0x12, 1, 0x78, 0x0c, 0xa4, 6]
        var request = try request("quirks")
        request.protoFile[1].unknownFields = try FileDescriptorProto(decoding: group).unknownFields
        let files = SerializedFiles.of(request: request.encoded() + group)
        #expect(files.count == 2 && files[1].suffix(group.count) == group[...])
        #expect(try generate(request.encoded() + group).count == 3)
    }

    /// An import that nothing is generated for, as google/protobuf/descriptor.proto (proto2) where options are declared.
    @Test func importsWithoutGeneratedCodeAreEmbedded() throws {
        var request = try request("quirks")
        let base = FileDescriptorProto(name: "base.proto", package: "base")
        let options = FileDescriptorProto(name: "options.proto", package: "opts", dependency: ["base.proto"])
        request.protoFile = [base, options] + request.protoFile
        request.protoFile[3].dependency += ["options.proto", "base.proto"]
        let text = try #require(generate(request).first { $0.name == "quirks.fletch.swift" }?.content)
        #expect(text.contains("dependencies: [Quirks_Imported_QuirksImportedSchema.file, import1, import0],"))
        #expect(text.contains("private static let import0 = FileDescriptor(\n        name: \"base.proto\","))
        #expect(
            text.contains(
                "name: \"options.proto\",\n        fingerprint: \"\(Fingerprint([]).of(options))\",\n        dependencies: [import0],"
            ))
    }

    /// Types of another module: its generated code is there, so the descriptor is referred to.
    @Test func importsThatMessagesNeedAreReferredTo() throws {
        var request = try request("quirks")
        request.fileToGenerate = ["quirks.proto"]
        let text = try #require(generate(request).first?.content)
        #expect(text.contains("dependencies: [Quirks_Imported_QuirksImportedSchema.file],"))
    }

    @Test func everyByteHasALiteral() {
        let all = FileDescriptor(
            name: "", fingerprint: "", dependencies: [], symbols: [], serialized: "\u{0}\n\"\\A\u{7f}\u{80}\u{ff}")
        #expect(all.serialized == [0, 10, 34, 92, 65, 127, 128, 255])
    }
}

extension [UInt8] {
    fileprivate func contains(_ part: [UInt8]) -> Bool {
        indices.contains { self[$0...].starts(with: part) }
    }
}
