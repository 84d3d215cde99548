import Foundation
import Graph
import LinearAlgebra
import Tables
import Testing

@testable import Related

@Suite struct TrainingOutputTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("output-\(UUID().uuidString)")
        .path

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

    @Test func refusesPlacesWhereNothingCanBeMade() throws {
        let empty = #expect(throws: TableError.self) { try TrainingOutput(directory: "") }
        #expect(empty?.description == "\"\": the path of the output is empty; give the path of a directory")
        let pseudo = #expect(throws: TableError.self) { try TrainingOutput(directory: "/proc/out") }
        #expect(pseudo?.description.hasPrefix("/proc/out: cannot make a directory in /proc: ") == true)
    }

    @Test func writesIntoAnEmptyDirectoryHoweverItIsNamed() throws {
        let embedding = try trained()
        try inFolder(leaving: ["embeddings.safetensors", "training.json"]) {
            try TrainingOutput(directory: folder + "/.").write(embedding)
            try TrainingOutput(directory: folder + "//").write(embedding)
        }
    }

    @Test func namesTheOutputWhereAFileGrowsTooLarge() async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            let embedding = try trained()
            let output = try TrainingOutput(directory: folder + "/out")
            signal(SIGXFSZ, SIG_IGN)
            limitFileSize()
            let error = #expect(throws: TableError.self) { try output.write(embedding) }
            #expect(error?.description.hasPrefix("\(folder)/out: cannot take ") == true)
            #expect(error?.reason.hasSuffix("File too large") == true)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }

    @Test func removesWhatDeadTrainingsLeftAndNothingElse() async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
            let unfinished = try UnfinishedDirectory(in: folder, for: "out")
            for name in [".tmp-1", "training.json"] {
                try Data("half".utf8).write(to: URL(fileURLWithPath: "\(unfinished.path)/\(name)"))
            }
            kill(getpid(), SIGKILL)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(left.count == 1 && left[0].hasPrefix(UnfinishedDirectory.prefix))
        let live = try UnfinishedDirectory(in: folder, for: "live")
        try Data("half".utf8).write(to: URL(fileURLWithPath: live.path + "/half"))
        try TrainingOutput(directory: folder + "/out").write(trained())
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
                == [URL(fileURLWithPath: live.path).lastPathComponent, "out"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: live.path) == ["half"])
        live.remove()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["out"])
    }
}

private func trained(seed: UInt64 = 1) throws -> DualEmbedding {
    var options = TrainingOptions()
    options.dimension = 8
    options.epochs = 1
    options.seed = seed
    return try DualEmbeddingTrainer(graph(4, [(0, 1), (1, 2), (2, 3)]), options: options).run()
}

/// Lets this process write no file beyond 64 bytes.
private func limitFileSize() {
    var limit = rlimit(rlim_cur: 64, rlim_max: 64)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
}
