internal import Foundation
internal import Graph
internal import LinearAlgebra
public import Tables

/// The directory that a training leaves: `embeddings.safetensors` (see ``RelatedEmbeddings``) and `training.json` (the
/// ``TrainingReport``).
///
/// Make it before the training, so that a bad directory is told at once, and write it after. A new directory appears
/// whole or not at all. In one that is there, empty or an earlier output, each file is replaced whole, and at no moment
/// a report stands beside the vectors of another training.
public struct TrainingOutput: Sendable {
    private let directory: String
    private let parent: String

    private static let embeddings = "embeddings.safetensors"
    private static let report = "training.json"

    /// Checks that the directory can be written.
    ///
    /// - Throws: when it or its parent is missing or not writable, or something other than an earlier output is there.
    public init(directory: String) throws(TableError) {
        guard !directory.isEmpty else {
            throw Self.error("\"\"", "the path of the output is empty", "give the path of a directory")
        }
        var trimmed = directory
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.directory = trimmed
        let slash = trimmed.lastIndex(of: "/")
        parent = slash.map { $0 == trimmed.startIndex ? "/" : String(trimmed[..<$0]) } ?? "."
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: parent, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw Self.error(trimmed, "there is no directory \(parent) to make it in", "make that directory first")
        }
        // Permissions do not tell all: no directory can be made in /proc, whatever they say.
        try UnfinishedDirectory(in: place(isThere: isReplaceable()), for: trimmed).remove()
    }

    /// Writes vectors and report.
    ///
    /// - Throws: when the file system refuses; what was there before is then still there, and nothing else.
    public func write(_ embedding: DualEmbedding) throws(TableError) {
        let isThere = try isReplaceable()
        let unfinished = try UnfinishedDirectory(in: place(isThere: isThere), for: directory)
        do throws(TableError) {
            try embedding.tables().write(to: "\(unfinished.path)/\(Self.embeddings)")
            try Self.write(embedding.report, to: "\(unfinished.path)/\(Self.report)")
            if isThere { try moveFiles(from: unfinished) } else { try move(unfinished) }
        } catch {
            unfinished.remove()
            // What was removed just now would tell nobody anything.
            throw error.path.hasPrefix(unfinished.path) ? Self.error(directory, error.reason, error.remedy) : error
        }
    }

    /// Where the files are written at first: beside a new directory, and in one that is there, which may be a mount point
    /// or in a directory that is not writable.
    private func place(isThere: Bool) -> String { isThere ? directory : parent }

    /// False where nothing stands at the place of the directory, true where an output or an empty directory does.
    private func isReplaceable() throws(TableError) -> Bool {
        var status = stat()
        guard lstat(directory, &status) == 0 else {
            guard errno == ENOENT else { throw Self.system(directory, "look at it") }
            return false
        }
        let names = try? FileManager.default.contentsOfDirectory(atPath: directory)
        let known = [Self.embeddings, Self.report]
        let isOutput = names?.allSatisfy { known.contains($0) || $0.hasPrefix(UnfinishedDirectory.prefix) } ?? false
        guard status.st_mode & S_IFMT == S_IFDIR, isOutput else {
            throw Self.error(
                directory, "it exists and is not the output of an earlier training", "choose another directory")
        }
        return true
    }

    private func move(_ unfinished: UnfinishedDirectory) throws(TableError) {
        guard rename(unfinished.path, directory) == 0 else {
            // Someone else's output may be there by now.
            guard errno == ENOTEMPTY || errno == EEXIST, try isReplaceable() else {
                throw Self.system(directory, "move the output there")
            }
            return try moveFiles(from: unfinished)
        }
        try Self.synchronize(parent)
    }

    private func moveFiles(from unfinished: UnfinishedDirectory) throws(TableError) {
        let earlierReport = "\(directory)/\(Self.report)"
        guard unlink(earlierReport) == 0 || errno == ENOENT else {
            throw Self.system(earlierReport, "remove the earlier report")
        }
        for name in [Self.embeddings, Self.report] {
            guard rename("\(unfinished.path)/\(name)", "\(directory)/\(name)") == 0 else {
                throw Self.system("\(directory)/\(name)", "replace the file")
            }
        }
        unfinished.remove()
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

    static func error(_ path: String, _ reason: String, _ remedy: String) -> TableError {
        TableError(path: path, reason: reason, remedy: remedy)
    }

    static func system(_ path: String, _ action: String, _ code: Int32 = errno) -> TableError {
        let reason = String(cString: strerror(code))
        return error(path, "cannot \(action): \(reason)", "check space and permissions, or choose another directory")
    }
}

extension DualEmbedding {
    /// The vectors in the form in which they are written and published.
    public func tables() throws(TableError) -> RelatedEmbeddings {
        try RelatedEmbeddings(
            ids: (0..<ids.count).map { ids[$0] }, dimension: source.columns,
            source: source.array, target: target.array, metadata: metadata,
            extras: encoder.tensors + (ranker?.features.graph.tensors ?? []))
    }

    /// How the vectors were made and what they reached, for whoever finds them later.
    private var metadata: [String: String] {
        var metadata = [
            "method": "dual embeddings of a directed graph",
            "edges": "\(report.graph.edges)", "layers": "\(report.parameters.layers)",
            "epochs": "\(report.parameters.epochs)", "publishedEpoch": "\(report.publishedEpoch)",
            "similar.dimension": "\(source.columns - DualEncoder.reservedCoordinates)",
            "sampler": report.parameters.sampler, "seed": "\(report.parameters.seed)",
        ]
        for (name, value) in report.quality ?? [:] { metadata[RelatedEmbeddings.metricPrefix + name] = "\(value)" }
        return metadata.merging(ranker?.metadata ?? [:]) { $1 }
    }
}
