import Testing
import FletchWire

@testable import CodeGenerator

/// The generated code in the tree is the golden copy: these tests fail where the generator would write another, and
/// the tree does not build where the copy does not compile. `codegen/generate.sh` renews it.
@Suite struct GoldenTests {
    @Test func quirks() throws {
        let files = try generate(recordedRequest("quirks"))
        #expect(
            files.map(\.name) == ["quirks_imported.fletch.swift", "quirks.fletch.swift", "quirks.fletch.grpc.swift"])
        for file in files { try expectEqual(file, "Tests/Quirks/Generated/\(file.name)") }
    }

    /// The generator reads requests through code that it generates itself.
    @Test func bootstrapIsAFixpoint() throws {
        let files = try generate(recordedRequest("compiler"))
        #expect(files.count == 1)
        for file in files { try expectEqual(file, "codegen/CodeGenerator/\(file.name)") }
    }

    /// The first line that differs, rather than two whole files.
    private func expectEqual(_ file: CodeGeneratorResponse.File, _ path: String) throws {
        let golden = try contents(path).split(separator: "\n", omittingEmptySubsequences: false)
        let lines = file.content.split(separator: "\n", omittingEmptySubsequences: false)
        let line = zip(golden, lines).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(line == nil && golden.count == lines.count, "\(path): run codegen/generate.sh")
    }
}
