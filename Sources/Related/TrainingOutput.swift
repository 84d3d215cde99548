internal import Foundation
internal import Graph
internal import LinearAlgebra
public import Tables

/// The directory that a training leaves: `embeddings.safetensors` (see ``RelatedEmbeddings``) and `training.json` (the
/// ``TrainingReport``).
///
/// Make it before the training, so that a bad directory is told at once, and write it after. A new directory appears
/// whole or not at all. In an earlier output each file is replaced whole, and at no moment a report stands beside the
/// vectors of another training.
public struct TrainingOutput: Sendable {
    private let directory: String
    private let parent: String

    private static let embeddings = "embeddings.safetensors"
    private static let report = "training.json"

    /// Checks that the directory can be written.
    ///
    /// - Throws: when its parent is missing or not writable, or something other than an earlier output is there.
    public init(directory: String) throws(TableError) {
        let trimmed = directory.count > 1 && directory.hasSuffix("/") ? String(directory.dropLast()) : directory
        self.directory = trimmed
        let slash = trimmed.lastIndex(of: "/")
        parent = slash.map { $0 == trimmed.startIndex ? "/" : String(trimmed[..<$0]) } ?? "."
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: parent, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw Self.error(trimmed, "there is no directory \(parent) to make it in", "make that directory first")
        }
        guard access(parent, W_OK | X_OK) == 0 else {
            throw Self.error(
                trimmed, "the directory \(parent) is not writable", "choose another or check its permissions")
        }
        try checkReplaceable()
    }

    /// Writes vectors and report.
    ///
    /// - Throws: when the file system refuses; what was there before is then still there, and nothing else.
    public func write(_ embedding: DualEmbedding) throws(TableError) {
        try checkReplaceable()
        let temporary = "\(parent)/.fletch-training-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        guard mkdir(temporary, 0o755) == 0 else { throw Self.system(temporary, "make the directory") }
        do throws(TableError) {
            try embedding.tables().write(to: "\(temporary)/\(Self.embeddings)")
            try Self.write(embedding.report, to: "\(temporary)/\(Self.report)")
            try replace(with: temporary)
        } catch {
            Self.remove(temporary)
            throw error
        }
    }

    /// Whether nothing stands at the place of the directory, or what stands there is an output or empty.
    private func checkReplaceable() throws(TableError) {
        var status = stat()
        guard lstat(directory, &status) == 0 else {
            guard errno == ENOENT else { throw Self.system(directory, "look at it") }
            return
        }
        let names = try? FileManager.default.contentsOfDirectory(atPath: directory)
        let known = [Self.embeddings, Self.report]
        guard status.st_mode & S_IFMT == S_IFDIR, let names, names.allSatisfy(known.contains) else {
            throw Self.error(
                directory, "it exists and is not the output of an earlier training", "choose another directory")
        }
    }

    private func replace(with temporary: String) throws(TableError) {
        if rename(temporary, directory) == 0 { return try Self.synchronize(parent) }
        guard errno == ENOTEMPTY || errno == EEXIST else { throw Self.system(directory, "move the output there") }
        let earlierReport = "\(directory)/\(Self.report)"
        guard unlink(earlierReport) == 0 || errno == ENOENT else {
            throw Self.system(earlierReport, "remove the earlier report")
        }
        for name in [Self.embeddings, Self.report] {
            guard rename("\(temporary)/\(name)", "\(directory)/\(name)") == 0 else {
                throw Self.system("\(directory)/\(name)", "replace the file")
            }
        }
        rmdir(temporary)
        try Self.synchronize(directory)
    }

    private static func write(_ report: TrainingReport, to path: String) throws(TableError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes: Data
        do { bytes = try encoder.encode(report) } catch {
            throw Self.error(path, "the report cannot be encoded: \(error)", "report this as a bug")
        }
        guard let file = fopen(path, "w") else { throw system(path, "make the file") }
        let count = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        let isSafe = count == bytes.count && fflush(file) == 0 && fsync(fileno(file)) == 0
        let failure = errno
        fclose(file)
        if !isSafe { throw system(path, "write the file", failure) }
    }

    private static func synchronize(_ directory: String) throws(TableError) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw system(directory, "open the directory") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw system(directory, "synchronize the directory") }
    }

    private static func remove(_ directory: String) {
        for name in [embeddings, report] { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    private static func error(_ path: String, _ reason: String, _ remedy: String) -> TableError {
        TableError(path: path, reason: reason, remedy: remedy)
    }

    private static func system(_ path: String, _ action: String, _ code: Int32 = errno) -> TableError {
        let reason = String(cString: strerror(code))
        return error(path, "cannot \(action): \(reason)", "check space and permissions, or choose another directory")
    }
}

extension DualEmbedding {
    /// The vectors in the form in which they are written and published.
    public func tables() throws(TableError) -> RelatedEmbeddings {
        try RelatedEmbeddings(
            ids: (0..<ids.count).map { ids[$0] }, dimension: source.columns,
            source: Array(UnsafeBufferPointer(start: source.elements, count: source.count)),
            target: Array(UnsafeBufferPointer(start: target.elements, count: target.count)),
            metadata: metadata)
    }

    /// How the vectors were made and what they reached, for whoever finds them later.
    private var metadata: [String: String] {
        var metadata = [
            "method": "dual embeddings of a directed graph",
            "edges": "\(report.graph.edges)", "layers": "\(report.parameters.layers)",
            "epochs": "\(report.parameters.epochs)", "publishedEpoch": "\(report.publishedEpoch)",
            "sampler": report.parameters.sampler, "seed": "\(report.parameters.seed)",
        ]
        for (name, value) in report.quality ?? [:] { metadata[RelatedEmbeddings.metricPrefix + name] = "\(value)" }
        return metadata
    }
}
