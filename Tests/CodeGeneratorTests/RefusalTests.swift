import Testing
import Wire

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

    @Test func streaming() throws {
        #expect(
            try generationError(request("streaming"))
                == "streaming.proto: refused.Clock.Watch is a streaming method, which is not supported by this version; "
                + "use a method without 'stream'")
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

    @Test(arguments: [
        ("speed=9", "unknown option 'speed'"), ("services=maybe", "option services cannot be 'maybe'"),
        ("visibility=open", "option visibility cannot be 'open'"), ("module=", "option module cannot be ''"),
        ("messages", "option messages cannot be ''"),
    ])
    func options(parameter: String, expected: String) throws {
        var request = try request("quirks")
        request.parameter = parameter
        let error = try #require(try generationError(request))
        #expect(error.hasPrefix(expected) && error.contains("the options are messages=true|false"))
    }

    @Test func garbage() throws {
        let response = try CodeGeneratorResponse(decoding: CodeGenerator.respond(to: [0xff]))
        #expect(response.error?.hasPrefix("standard input is not a CodeGeneratorRequest") == true)
    }
}
