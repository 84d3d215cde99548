import Testing

@testable import CodeGenerator

@Suite struct CommentTests {
    /// Comments of files with the line ends of other systems, which protoc hands over as they are.
    @Test(arguments: ["One.\n Two.\n", " One.\r\n Two.\r\n", " One.\r Two.\r"])
    func everyLineStaysAComment(_ comment: String) throws {
        var request = try request("quirks")
        let file = try #require(request.protoFile.firstIndex { $0.name == "quirks.proto" })
        request.protoFile[file].sourceCodeInfo = SourceCodeInfo(location: [
            SourceCodeInfo.Location(path: [Comments.Step.message, 0], leadingComments: Array(comment.utf8))
        ])
        let text = try #require(generate(request).first { $0.name == "quirks.fletch.swift" }?.content)
        #expect(text.contains("/// One.\n/// Two.\npublic struct"))
        #expect(!text.unicodeScalars.contains("\r"))
    }

    /// proto2's strings, which comments are, may hold other encodings.
    @Test func commentsInOtherEncodings() throws {
        var request = try request("quirks")
        let file = try #require(request.protoFile.firstIndex { $0.name == "quirks.proto" })
        request.protoFile[file].sourceCodeInfo = SourceCodeInfo(location: [
            SourceCodeInfo.Location(path: [Comments.Step.message, 0], trailingComments: [32, 0xe9, 0, 116, 0xe9])
        ])
        let text = try #require(generate(request).first { $0.name == "quirks.fletch.swift" }?.content)
        #expect(text.contains("/// \u{fffd}t\u{fffd}\npublic struct"))
    }
}
