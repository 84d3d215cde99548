import Foundation
import Graph
import LinearAlgebra
import Tables
import Testing

@testable import Related

@Suite struct TrainingOutputTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("output-\(UUID().uuidString)")
        .path

    private func trained(seed: UInt64 = 1) throws -> DualEmbedding {
        var options = TrainingOptions()
        options.dimension = 8
        options.epochs = 1
        options.seed = seed
        return try DualEmbeddingTrainer(graph(4, [(0, 1), (1, 2), (2, 3)]), options: options).run()
    }

    /// Runs a test in a folder of its own, which must hold only what it names at the end.
    private func inFolder(leaving names: [String], _ body: () throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == names)
    }

    @Test func writesVectorsAndReport() throws {
        let embedding = try trained()
        try inFolder(leaving: ["out"]) {
            try TrainingOutput(directory: folder + "/out/").write(embedding)
            let read = try RelatedEmbeddings(path: folder + "/out/embeddings.safetensors")
            #expect(read.count == 4 && read.dimension == 8)
            #expect(read.source == Array(UnsafeBufferPointer(start: embedding.source.elements, count: 32)))
            #expect(read.target == Array(UnsafeBufferPointer(start: embedding.target.elements, count: 32)))
            #expect(String(decoding: read.idBytes, as: UTF8.self) == "0123")
            let report = try JSONDecoder().decode(
                TrainingReport.self, from: Data(contentsOf: URL(fileURLWithPath: folder + "/out/training.json")))
            #expect(report.parameters.dimension == 8 && report.graph.edges == 3)
        }
    }

    @Test func replacesAnEarlierOutputAndWritesTheSameBytes() throws {
        try inFolder(leaving: ["out"]) {
            let output = try TrainingOutput(directory: folder + "/out")
            func written(_ embedding: DualEmbedding) throws -> Data {
                try output.write(embedding)
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/out").count == 2)
                return try Data(contentsOf: URL(fileURLWithPath: folder + "/out/embeddings.safetensors"))
            }
            let first = try written(trained())
            #expect(try written(trained(seed: 2)) != first)
            #expect(try written(trained()) == first)
        }
    }

    @Test func refusesWhatIsNotAnOutput() throws {
        try inFolder(leaving: ["file", "other"]) {
            try Data("mine".utf8).write(to: URL(fileURLWithPath: folder + "/file"))
            try FileManager.default.createDirectory(atPath: folder + "/other", withIntermediateDirectories: true)
            try Data("mine".utf8).write(to: URL(fileURLWithPath: folder + "/other/notes.txt"))
            for name in ["file", "other"] {
                let error = #expect(throws: TableError.self) { try TrainingOutput(directory: "\(folder)/\(name)") }
                #expect(error?.description.hasPrefix("\(folder)/\(name): it exists and is not the output") == true)
            }
            let error = #expect(throws: TableError.self) { try TrainingOutput(directory: folder + "/missing/out") }
            #expect(error?.reason == "there is no directory \(folder)/missing to make it in")
        }
    }

    @Test func leavesNothingBehindWhenTheFileSystemRefuses() throws {
        let embedding = try trained()
        try inFolder(leaving: ["out"]) {
            let output = try TrainingOutput(directory: folder + "/out")
            // Someone else takes the place between check and write.
            try Data("mine".utf8).write(to: URL(fileURLWithPath: folder + "/out"))
            #expect(throws: TableError.self) { try output.write(embedding) }
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/out")) == Data("mine".utf8))
        }
    }
}
