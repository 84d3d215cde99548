internal import Foundation
internal import Tables

/// A directory for files that are not whole yet, locked as long as the value lives.
///
/// A training that is killed half-way leaves its directory behind, but not the lock: the next one in the same place
/// tells it by that and removes it.
final class UnfinishedDirectory {
    let path: String
    private let descriptor: Int32

    /// What the name of every such directory starts with.
    static let prefix = ".fletch-training-"
    /// Another process may take a directory for a leftover in the moment before it is locked, but hardly twice.
    private static let attempts = 3

    /// Makes a directory in `place`, which is free of leftovers then.
    ///
    /// - Parameter output: the path that errors name.
    init(in place: String, for output: String) throws(TableError) {
        Self.removeLeftovers(in: place)
        for _ in 0..<Self.attempts {
            let path = "\(place)/\(Self.prefix)\(getpid())-\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
            guard mkdir(path, 0o755) == 0 else {
                throw TrainingOutput.system(output, "make a directory in \(place)")
            }
            if let descriptor = Self.lock(path) {
                self.path = path
                self.descriptor = descriptor
                return
            }
            rmdir(path)
        }
        throw TrainingOutput.error(output, "cannot lock a directory in \(place)", "choose another file system")
    }

    deinit { close(descriptor) }

    /// Removes the directory with the files in it.
    func remove() { Self.remove(path, descriptor) }

    private static func removeLeftovers(in place: String) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? [] where name.hasPrefix(prefix) {
            let path = "\(place)/\(name)"
            guard let descriptor = lock(path) else { continue }
            remove(path, descriptor)
            close(descriptor)
        }
    }

    private static func remove(_ path: String, _ descriptor: Int32) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] { unlinkat(descriptor, name, 0) }
        rmdir(path)
    }

    /// The descriptor of a directory that is still there and was locked by no one else.
    private static func lock(_ path: String) -> Int32? {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &status) == 0, status.st_nlink > 0 {
            return descriptor
        }
        close(descriptor)
        return nil
    }
}
