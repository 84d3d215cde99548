import FletchWire
import Testing

@testable import CodeGenerator

/// What each option does to the output, and which are refused.
@Suite struct OptionTests {
    /// The output for the quirks in some folder, by file name.
    private func output(
        _ parameter: String, path: String = "quirks.proto", files: [String: String] = [:],
        _ change: (inout CodeGeneratorRequest) -> Void = { _ in }
    ) throws -> [String: String] {
        var request = try request("quirks")
        request.parameter = parameter
        request.protoFile[1].name = path
        request.fileToGenerate = [path]
        change(&request)
        #expect(try generationError(request, files: files) == nil)
        let response = CodeGenerator.respond(to: request.encoded()) { files[$0].map { Array($0.utf8) } }
        let outputs = try CodeGeneratorResponse(decoding: response).file.map { ($0.name, $0.content) }
        return Dictionary(uniqueKeysWithValues: outputs)
    }

    private func imports(_ text: String?) throws -> [String] {
        try #require(text).split(separator: "\n").filter { $0.contains("import ") && !$0.contains("//") }.map(
            String.init)
    }

    @Test(arguments: [
        ("", "a/b_c/quirks"), ("FileNaming=FullPath", "a/b_c/quirks"), ("FileNaming=fullpath", "a/b_c/quirks"),
        ("FileNaming=PathToUnderscores", "a_b_c_quirks"), ("FileNaming=DropPath", "quirks"),
    ])
    func fileNaming(parameter: String, stem: String) throws {
        let names = try output(parameter, path: "a/b_c/quirks.proto").keys.sorted()
        #expect(names == [stem + ".fletch.grpc.swift", stem + ".fletch.swift"])
    }

    @Test func twoFilesOfOneName() throws {
        var request = try request("quirks")
        request.parameter = "FileNaming=DropPath"
        request.protoFile[1].name = "a/quirks_imported.proto"
        request.fileToGenerate = ["quirks_imported.proto", "a/quirks_imported.proto"]
        #expect(
            try generationError(request)
                == "a/quirks_imported.proto: quirks_imported.proto and a/quirks_imported.proto are both "
                + "'quirks_imported.fletch.swift' among the files written; give one of them another name, or choose "
                + "another FileNaming")
        // Only one of them has services.
        request.parameter += ",Messages=false"
        #expect(try generationError(request) == nil)
    }

    @Test(arguments: [
        ("Visibility=Public,UseAccessLevelOnImports=true", "public ", "public "),
        ("Visibility=public", "public ", ""),
        ("Visibility=Package,UseAccessLevelOnImports=TRUE", "package ", "package "),
        ("UseAccessLevelOnImports=true", "internal ", "internal "), ("", "internal ", ""),
    ])
    func access(parameter: String, access: String, importAccess: String) throws {
        let files = try output(parameter)
        let messages = try #require(files["quirks.fletch.swift"])
        #expect(messages.contains("\n\(access)struct QScalars: Message {"))
        #expect(try imports(messages) == ["\(importAccess)import FletchWire"])
        #expect(
            try imports(files["quirks.fletch.grpc.swift"])
                == ["\(importAccess)import FletchRPC", "\(importAccess)import FletchWire"])
    }

    @Test func messagesAlone() throws {
        #expect(try output("Server=false,Client=false").keys.sorted() == ["quirks.fletch.swift"])
        #expect(try output("Messages=false").keys.sorted() == ["quirks.fletch.grpc.swift"])
    }

    @Test func clientAlone() throws {
        let text = try #require(try output("Server=false")["quirks.fletch.grpc.swift"])
        #expect(
            text.contains("struct QQuirkyClient") && text.contains("static let getByID = \"/quirks.Quirky/GetById\""))
        #expect(
            !["Service ", "Service:", "ValueAdapter", "methods(", "UnaryCall", "AsyncCall"].contains(
                where: text.contains))
    }

    @Test func serverAlone() throws {
        let text = try #require(try output("Client=false")["quirks.fletch.grpc.swift"])
        #expect(text.contains("protocol QQuirkyService") && text.contains("static func methods("))
        #expect(!text.contains("Client"))
    }

    @Test func extraModules() throws {
        let files = try output("ExtraModuleImports=B,ExtraModuleImports=A")
        #expect(try imports(files["quirks.fletch.swift"]) == ["import A", "import B", "import FletchWire"])
    }

    // MARK: - Modules

    /// Both quote kinds, both kinds of brackets, lists, comments and separators.
    @Test func mappings() throws {
        let mappings = try ModuleMappings(
            """
            # Comments, 'quotes' in them too.
            mapping { module_name: "Shop" proto_file_path: "shop/cart.proto" }
            mapping: < proto_file_path: ['shop/it' "em.proto", "shop/\\"x\\".proto"]; module_name: 'Items', >
            """, path: "m")
        #expect(mappings["shop/cart.proto"] == "Shop" && mappings["shop/item.proto"] == "Items")
        #expect(mappings["shop/\"x\".proto"] == "Items" && mappings["other.proto"] == nil)
        #expect(try ModuleMappings("", path: "m") == ModuleMappings())
    }

    @Test(arguments: [
        (
            "mapping { module_name: \"A\" proto_file_path: \"a\" }\n\nmapping { module: 'A' }",
            "m:3: 'module' stands where module_name, proto_file_path or '}' is due"
        ),
        ("maping {}", "m:1: 'maping' stands where a 'mapping { ... }' is due"),
        ("mapping {\n module_name: \"A", "m:2: a quote has no end on its line"),
        ("mapping {\n module_name: A }", "m:2: 'A' stands where a string in quotes is due"),
        ("mapping {\n", "m:2: the file ends where module_name, proto_file_path or '}' is due"),
        ("\nmapping { proto_file_path: 'a' }", "m:2: a mapping needs one module_name, the name of a Swift module"),
        ("mapping { module_name: 'a b' }", "m:1: a mapping needs one module_name, the name of a Swift module"),
        (
            "mapping { module_name: 'A' proto_file_path: 'x' }\nmapping { module_name: 'B' proto_file_path: 'x' }",
            "m:2: 'x' is already in the module 'A'; leave it in one of them"
        ),
    ])
    func mappingErrors(text: String, expected: String) throws {
        var request = try request("quirks")
        request.parameter = "ProtoPathModuleMappings=m"
        #expect(try generationError(request, files: ["m": text]) == expected)
    }

    /// Imported are the modules that types come from, and no others.
    @Test func modulesThatTypesComeFrom() throws {
        let mappings = """
            mapping { module_name: 'Colours' proto_file_path: 'quirks_imported.proto' }
            mapping { module_name: 'Unused' proto_file_path: 'unused.proto' }
            """
        let files = try output("ProtoPathModuleMappings=m", files: ["m": mappings]) { request in
            request.protoFile.insert(FileDescriptorProto(name: "unused.proto", syntax: "proto3"), at: 0)
            request.protoFile[2].dependency.append("unused.proto")
        }
        #expect(try imports(files["quirks.fletch.swift"]) == ["import Colours", "import FletchWire"])
        #expect(try imports(files["quirks.fletch.grpc.swift"]) == ["import FletchRPC", "import FletchWire"])
    }

    /// A file's own module is not imported, and files of other modules in the same run are.
    @Test func oneRunForTwoModules() throws {
        let mappings = "mapping { module_name: 'Quirks' proto_file_path: 'quirks.proto' }"
        func messages(_ mappings: String) throws -> String? {
            try output("ProtoPathModuleMappings=m", files: ["m": mappings]) {
                $0.fileToGenerate = ["quirks_imported.proto", "quirks.proto"]
            }["quirks.fletch.swift"]
        }
        #expect(try imports(messages(mappings)) == ["import FletchWire"])
        let both = mappings + "mapping { module_name: 'Quirks' proto_file_path: 'quirks_imported.proto' }"
        #expect(try imports(messages(both)) == ["import FletchWire"])
        let apart = mappings + "mapping { module_name: 'Colours' proto_file_path: 'quirks_imported.proto' }"
        #expect(try imports(messages(apart)) == ["import Colours", "import FletchWire"])
    }

    /// protobuf's own types are known without a mapping, unless this run generates them.
    @Test func wellKnownTypes() throws {
        func messages(generating: [String]) throws -> String? {
            try output("") { request in
                request.protoFile[0].name = "google/protobuf/timestamp.proto"
                request.protoFile[1].dependency = ["google/protobuf/timestamp.proto"]
                request.fileToGenerate = generating
            }["quirks.fletch.swift"]
        }
        #expect(
            try imports(messages(generating: ["quirks.proto"])) == ["import FletchWellKnownTypes", "import FletchWire"])
        let both = ["google/protobuf/timestamp.proto", "quirks.proto"]
        #expect(try imports(messages(generating: both)) == ["import FletchWire"])
    }

    // MARK: - Refusals

    @Test(arguments: [
        ("speed=9", "there is no option 'speed'; the options are Visibility=Internal|Package|Public, FileNaming="),
        ("visibility=public", "there is no option 'visibility' (did you mean 'Visibility'?); the options are "),
        ("Servers=true", "there is no option 'Servers' (did you mean 'Server'?); "),
        ("Server=maybe", "option Server cannot be 'maybe'; it is one of false, true"),
        ("Visibility=Pubic", "option Visibility cannot be 'Pubic' (did you mean 'Public'?); it is one of Internal, "),
        ("ExtraModuleImports=", "option ExtraModuleImports cannot be ''; give the name of a Swift module"),
        ("Messages", "option Messages cannot be ''; it is one of false, true"),
        ("FileNaming=flat", "option FileNaming cannot be 'flat'; it is one of DropPath, FullPath, PathToUnderscores"),
        ("ProtoPathModuleMappings=gone", "option ProtoPathModuleMappings: 'gone' cannot be read; give its path from"),
        ("Messages=false,Server=false,Client=false", "Messages, Server and Client are all false, which leaves nothing"),
    ])
    func refused(parameter: String, expected: String) throws {
        var request = try request("quirks")
        request.parameter = parameter
        let error = try #require(try generationError(request))
        #expect(error.hasPrefix(expected), "\(error)")
    }
}
