import Testing
import FletchWire

@testable import CodeGenerator

@Suite struct RefusalTests {
    @Test func proto2() throws {
        #expect(
            try generationError(request("proto2"))
                == "proto2.proto: proto2 is not supported by this version; use syntax = \"proto3\"")
    }

    @Test func editions() throws {
        var request = try request("proto2")
        request.protoFile[0].syntax = "editions"
        #expect(try generationError(request)?.hasPrefix("proto2.proto: editions is not supported") == true)
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

    // MARK: - Names that Swift cannot tell apart

    private func collision(_ change: (inout FileDescriptorProto) -> Void) throws -> String? {
        var request = try request("quirks")
        change(&request.protoFile[1])
        return try generationError(request)
    }

    @Test func methodNames() throws {
        #expect(
            try collision { $0.service[0].method[0].name = "GetByID" }
                == "quirks.proto: quirks.Quirky.GetByID and quirks.Quirky.GetById are both 'getByID' in Swift; "
                + "rename one of them")
    }

    @Test func fieldNames() throws {
        #expect(
            try collision { $0.messageType[0].field[1].name = "a_Double" }
                == "quirks.proto: quirks.Scalars.a_double and quirks.Scalars.a_Double are both 'aDouble' in Swift; "
                + "rename one of them")
        #expect(
            try collision { $0.messageType[3].oneofDecl[0].name = "Name" }
                == "quirks.proto: quirks.Choice.name and quirks.Choice.Name are both 'name' in Swift; "
                + "rename one of them")
        #expect(
            try collision { $0.messageType[2].field[0].name = "make_floats" }
                == "quirks.proto: quirks.Repeated.make_floats and the builder of quirks.Repeated.floats are both "
                + "'makeFloats' in Swift; rename one of them")
    }

    @Test func enumValues() throws {
        #expect(
            try collision { $0.enumType[0].value[1].name = "LEVEL_High" }
                == "quirks.proto: quirks.LEVEL_High and quirks.LEVEL_HIGH are both 'levelHigh' in Swift; "
                + "rename one of them")
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

    @Test func aServicesCodeAndAMessage() throws {
        #expect(try collision { $0.messageType[8].name = "QuirkyClient" }?.contains("are both 'QQuirkyClient'") == true)
    }

    @Test func garbage() throws {
        let response = try CodeGeneratorResponse(decoding: CodeGenerator.respond(to: [0xff], readFile: { _ in nil }))
        #expect(response.error?.hasPrefix("standard input is not a CodeGeneratorRequest") == true)
    }
}
