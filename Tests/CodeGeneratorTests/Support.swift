import Glibc
import Testing
import FletchWire

@testable import CodeGenerator

/// What protoc sent for a schema of Tests/Quirks/Protos, as `codegen/generate.sh` recorded it.
func request(_ name: String) throws -> CodeGeneratorRequest {
    try CodeGeneratorRequest(decoding: recordedRequest(name))
}

/// The same, byte for byte.
func recordedRequest(_ name: String) throws -> [UInt8] { try bytes("Tests/Quirks/Requests/\(name).request.binpb") }

/// The plugin's output for a request.
func generate(_ request: CodeGeneratorRequest) throws -> [CodeGeneratorResponse.File] {
    try generate(request.encoded())
}

/// The plugin's output for an encoded request.
func generate(_ request: [UInt8]) throws -> [CodeGeneratorResponse.File] {
    let response = try CodeGeneratorResponse(decoding: CodeGenerator.respond(to: request, readFile: { _ in nil }))
    #expect(response.error == nil && response.supportedFeatures == 1)
    return response.file
}

/// The error that the plugin answers a request with.
///
/// - Parameter files: What an option may name.
func generationError(_ request: CodeGeneratorRequest, files: [String: String] = [:]) throws -> String? {
    let response = CodeGenerator.respond(to: request.encoded()) { files[$0].map { Array($0.utf8) } }
    return try CodeGeneratorResponse(decoding: response).error
}

func contents(_ path: String) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }

/// A file of this package.
func bytes(_ path: String) throws -> [UInt8] {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let file = try #require(fopen("/\(root)/\(path)", "rb"), "cannot open \(path)")
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return bytes
}
