internal import Foundation
internal import LinearAlgebra

/// Where a training leaves its state after every epoch, so that it can go on after its process has ended.
///
/// The directory holds one file, replaced as a whole. The training that goes on gives the same bytes as one that was
/// never interrupted.
public struct TrainingCheckpoint: Sendable {
    private let directory: String
    private let isResumed: Bool
    private var file: String { "\(directory)/\(Self.name)" }

    private static let name = "checkpoint.fletch"
    /// Rises with whatever changes what the file holds or what a training makes of it.
    private static let format = 1

    /// Checkpoints in a directory, which is made where there is none.
    ///
    /// - Parameter resuming: whether to go on with the training whose checkpoint is there.
    /// - Throws: ``TrainingError`` where there is none to go on with, one that would be lost, or no place to write.
    public init(directory: String, resuming: Bool) throws(TrainingError) {
        self.directory = directory
        isResumed = resuming
        guard mkdir(directory, 0o755) == 0 || errno == EEXIST, access(directory, W_OK | X_OK) == 0 else {
            throw Self.error("\(directory): cannot write there: \(String(cString: strerror(errno)))")
        }
        let isThere = access(file, F_OK) == 0
        if resuming, !isThere {
            throw Self.error("\(directory): there is no checkpoint to resume; leave out --resume to begin anew")
        }
        if !resuming, isThere {
            throw Self.error(
                "\(directory): it holds the checkpoint of an unfinished training; give --resume to go on with it, or "
                    + "remove \(Self.name)")
        }
    }

    /// Removes the checkpoint of a training that is done.
    public func remove() { unlink(file) }

    /// What a training is: its graph and features, and the parameters as used.
    struct Identity: Codable, Hashable {
        let data: UInt64
        let parameters: TrainingParameters
    }

    /// What the file holds beside the matrices.
    struct State: Codable {
        let identity: Identity
        /// Whether the first training is done and the one on all edges is under way.
        var isRefitting = false
        /// Epochs done of the present training.
        var epochs = 0
        var adamSteps = 0
        var bestMean = 0.0
        /// Whether copies of the best epoch's parameters follow.
        var hasPublished = false
        /// What the held-out edges asked for, once the first training is done.
        var offset: DirectionOffset?
        var ranker: HybridWeights?
        var report: TrainingReport
    }

    /// The state to go on from; nil where a training begins anew.
    ///
    /// - Throws: where the checkpoint is that of another training, or damaged.
    func state(of identity: Identity) throws(TrainingError) -> State? {
        guard isResumed else { return nil }
        let bytes = try contents()
        let state = try header(of: bytes).state
        guard state.identity.data == identity.data else {
            throw refusal("it was made of other edges or products")
        }
        guard state.identity.parameters == identity.parameters else {
            throw refusal("it was made with other options; give the same ones")
        }
        return state
    }

    /// Fills in the matrices that were written with the state.
    func read(_ matrices: [Matrix]) throws(TrainingError) {
        let bytes = try contents()
        var place = try header(of: bytes).end
        guard bytes.count - place == matrices.reduce(0, { $0 + $1.count * 4 }) else { throw refusal("it is damaged") }
        for matrix in matrices {
            let size = matrix.count * 4
            _ = bytes.copyBytes(
                to: UnsafeMutableRawBufferPointer(start: matrix.elements, count: size), from: place..<place + size)
            place += size
        }
    }

    /// Writes a checkpoint, whole or not at all.
    func write(_ state: State, _ matrices: [Matrix]) throws(TrainingError) {
        let unfinished = "\(file).unfinished"
        do {
            let header = try JSONEncoder().encode(state)
            _ = FileManager.default.createFile(atPath: unfinished, contents: nil)
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: unfinished))
            defer { try? handle.close() }
            try handle.write(contentsOf: Self.lead(header.count))
            try handle.write(contentsOf: header)
            for matrix in matrices {
                try handle.write(
                    contentsOf: Data(bytesNoCopy: matrix.elements, count: matrix.count * 4, deallocator: .none))
            }
            try handle.synchronize()
        } catch {
            unlink(unfinished)
            throw Self.error("\(directory): cannot write a checkpoint: \(error.localizedDescription)")
        }
        guard rename(unfinished, file) == 0 else {
            throw Self.error("\(file): cannot replace it: \(String(cString: strerror(errno)))")
        }
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY)
        if descriptor >= 0 {
            fsync(descriptor)
            close(descriptor)
        }
    }

    /// The first bytes of a file: a mark, the format, and the length of the JSON that follows.
    private static func lead(_ length: Int) -> Data {
        var lead = Data("FLETCHCP".utf8)
        for number in [UInt64(format), UInt64(length)] {
            withUnsafeBytes(of: number.littleEndian) { lead.append(contentsOf: $0) }
        }
        return lead
    }

    private func contents() throws(TrainingError) -> Data {
        do {
            return try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe)
        } catch {
            throw Self.error("\(file): cannot read it: \(error.localizedDescription)")
        }
    }

    private func header(of bytes: Data) throws(TrainingError) -> (state: State, end: Int) {
        let size = Self.lead(0).count
        guard bytes.count >= size, bytes.prefix(8) == Self.lead(0).prefix(8) else { throw refusal("it is damaged") }
        func number(_ place: Int) -> UInt64 {
            bytes[place..<place + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard number(8) == UInt64(Self.format) else { throw refusal("it was made by another version of fletch") }
        let length = number(16)
        guard length <= UInt64(bytes.count - size) else { throw refusal("it is damaged") }
        do {
            return (try JSONDecoder().decode(State.self, from: bytes[size..<size + Int(length)]), size + Int(length))
        } catch {
            throw refusal("it is damaged")
        }
    }

    private func refusal(_ reason: String) -> TrainingError {
        Self.error("\(file) cannot be resumed: \(reason), or remove it to begin anew")
    }

    private static func error(_ reason: String) -> TrainingError {
        TrainingError(option: "checkpoint", reason)
    }
}

/// A hash of arrays, FNV-1a by whole words: to tell data apart, not to keep anybody from making them alike.
struct DataHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ numbers: some Sequence<some BinaryInteger>) {
        for number in numbers { value = (value ^ UInt64(truncatingIfNeeded: number)) &* 0x100_0000_01B3 }
        value ^= value >> 29
    }
}
