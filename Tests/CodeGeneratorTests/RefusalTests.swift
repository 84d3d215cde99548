import Testing
import FletchWire

@testable import CodeGenerator

@Suite struct RefusalTests {
    @Test func proto2() throws {
        #expect(
            try generationError(request("proto2"))
                == "proto2.proto: proto2 is not supported; write syntax = \"proto3\" at its top and take what proto3 lacks "
                + "(required, groups, extensions, defaults) out of it")
    }

    @Test func editions() throws {
        var request = try request("proto2")
        request.protoFile[0].syntax = "editions"
        #expect(try generationError(request)?.hasPrefix("proto2.proto: an edition is not supported") == true)
    }

    @Test func groups() throws {
        var request = try request("quirks")
        request.protoFile[1].messageType[0].field[0].type = .group
        #expect(
            try generationError(request)
                == "quirks.proto: quirks.Scalars.a_double is a group, which is not supported; use a message")
    }

    @Test func unknownTypes() throws {
        var request = try request("quirks")
        request.protoFile.removeFirst()
        request.fileToGenerate = ["quirks.proto"]
        #expect(
            try generationError(request)?.hasPrefix("quirks.proto: quirks.Imports.colour has the type .quirks.imported")
                == true)
    }

    // MARK: - Names and types

    private func collision(_ change: (inout FileDescriptorProto) -> Void) throws -> String? {
        var request = try request("quirks")
        change(&request.protoFile[1])
        return try generationError(request)
    }

    @Test func typesOfTwoFiles() throws {
        #expect(
            try collision {
                $0.options?.swiftPrefix = ""; $0.messageType[8].name = "Quirks_Imported_Colour"
            }
                == "quirks.proto: quirks.imported.Colour and quirks.Quirks_Imported_Colour are both "
                + "'Quirks_Imported_Colour' in Swift; give one of the files another 'option swift_prefix', or generate "
                + "them into separate modules")
    }

    /// As google.protobuf.FileDescriptorProto is: without the types' code the field's would not compile.
    @Test func typesOfProto2Files() throws {
        var request = try request("quirks")
        request.protoFile[0].syntax = ""
        request.fileToGenerate = ["quirks.proto"]
        #expect(
            try generationError(request)
                == "quirks.proto: quirks.Imports.colour has the type quirks.imported.Colour of quirks_imported.proto, "
                + "which is no proto3 file; only types of proto3 files are supported")
    }

    @Test func garbage() throws {
        let response = try CodeGeneratorResponse(decoding: CodeGenerator.respond(to: [0xff], readFile: { _ in nil }))
        #expect(response.error?.hasPrefix("standard input is not a CodeGeneratorRequest") == true)
    }
}
