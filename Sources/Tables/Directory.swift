internal import Glibc

/// An open directory. What is in it is reached relative to it and never through a symbolic link, so that nothing
/// done here can land elsewhere.
final class Directory: Sendable {
    let path: String
    let descriptor: Int32

    /// Opens the directory at `path`, which may be a symbolic link to one.
    init(path: String) throws(TableError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(path, "open the directory") }
        self.path = path
        self.descriptor = descriptor
    }

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// The path of something in this directory.
    func path(of name: String) -> String { "\(path)/\(name)" }

    /// Opens a directory in this one; nil where there is nothing of that name.
    func subdirectoryIfPresent(_ name: String) throws(TableError) -> Directory? {
        let opened = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if opened >= 0 { return Directory(path: path(of: name), descriptor: opened) }
        let code = errno
        if code == ENOENT { return nil }
        guard code == ENOTDIR || code == ELOOP else { throw .system(path(of: name), "open the directory", code) }
        let isLink = fileType(of: name) == S_IFLNK
        throw TableError(
            path: path(of: name),
            reason: isLink ? "is a symbolic link, which a store does not follow" : "is not a directory",
            remedy: "put the directory itself in its place")
    }

    /// Whether a name is that of a directory itself; a link to one is none.
    func isDirectory(_ name: String) -> Bool { fileType(of: name) == S_IFDIR }

    /// The type of what has a name, in the bits of `S_IFMT`; nil where there is nothing.
    private func fileType(of name: String) -> mode_t? {
        var status = stat()
        guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
        return status.st_mode & S_IFMT
    }

    /// Makes a directory in this one; false where the name is taken.
    func makeSubdirectory(_ name: String) throws(TableError) -> Bool {
        if mkdirat(descriptor, name, 0o755) == 0 { return true }
        guard errno == EEXIST else { throw .system(path(of: name), "make the directory") }
        return false
    }

    /// The names in this directory, without `.` and `..`, in no particular order.
    func names() throws(TableError) -> [String] {
        // The stream takes over its descriptor, and the position with it: it gets one of its own.
        let own = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0 else { throw .system(path, "list the directory") }
        guard let stream = fdopendir(own) else {
            let code = errno
            close(own)
            throw .system(path, "list the directory", code)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // The only sign that an end is no end.
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .system(path, "list the directory") }
        return names
    }

    /// Opens a regular file for reading; nil where there is none of that name.
    func fileIfPresent(_ name: String) throws(TableError) -> OpenFile? {
        // Without O_NONBLOCK a fifo would hold us until someone writes to it.
        let opened = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if opened < 0 && errno == ENOENT { return nil }
        guard opened >= 0 else { throw .system(path(of: name), "open the file") }
        return try OpenFile(path: path(of: name), descriptor: opened)
    }

    /// Makes a file for reading and writing that was not there; one that is `readOnly` no one can open to write again.
    func makeFile(_ name: String, readOnly: Bool = false) throws(TableError) -> OpenFile {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let opened = openat(descriptor, name, flags, readOnly ? 0o444 : 0o644)
        guard opened >= 0 else { throw .system(path(of: name), "make the file") }
        return try OpenFile(path: path(of: name), descriptor: opened)
    }

    /// Renames within this directory, in one step, replacing a file of the new name.
    func rename(_ old: String, to new: String) throws(TableError) {
        guard renameat(descriptor, old, descriptor, new) == 0 else {
            throw .system(path(of: new), "rename \(old) to it")
        }
    }

    /// Removes a file, or a directory with the files in it; false where that did not work.
    @discardableResult
    func remove(_ name: String) -> Bool {
        if unlinkat(descriptor, name, 0) == 0 { return true }
        guard let directory = try? subdirectoryIfPresent(name), let files = try? directory.names() else { return false }
        for file in files { unlinkat(directory.descriptor, file, 0) }
        return unlinkat(descriptor, name, AT_REMOVEDIR) == 0
    }

    /// What every name of unfinished work starts with.
    static let temporaryPrefix = ".tmp-"

    /// A name for unfinished work that no one else uses.
    static func temporaryName() -> String {
        "\(temporaryPrefix)\(getpid())-\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
    }

    /// Makes the names in this directory survive a power cut.
    func sync() throws(TableError) {
        guard fsync(descriptor) == 0 else { throw .system(path, "write the directory to disk") }
    }

    /// Locks this directory against other processes and other `Directory`s until it is closed; waits for it if told to.
    /// False where another holds the lock.
    func lock(waiting: Bool) throws(TableError) -> Bool {
        while flock(descriptor, LOCK_EX | (waiting ? 0 : LOCK_NB)) != 0 {
            if errno == EWOULDBLOCK { return false }
            guard errno == EINTR else { throw .system(path, "lock the directory") }
        }
        return true
    }

    /// Whether the directory was removed since it was opened.
    var isRemoved: Bool {
        var status = stat()
        return fstat(descriptor, &status) != 0 || status.st_nlink == 0
    }
}

/// Splits a path into the directory and the name in it.
func split(path: String) -> (parent: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let parent = path[..<slash]
    return (parent.isEmpty ? "/" : String(parent), String(path[path.index(after: slash)...]))
}

/// An open regular file.
final class OpenFile: Sendable {
    let path: String
    let descriptor: Int32
    /// The size in bytes when the file was opened.
    let size: Int

    /// Opens the file at `path`, which may be a symbolic link to one.
    convenience init(path: String) throws(TableError) {
        let opened = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard opened >= 0 else { throw .system(path, "open the file") }
        try self.init(path: path, descriptor: opened)
    }

    /// Takes over a descriptor.
    fileprivate init(path: String, descriptor: Int32) throws(TableError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            close(descriptor)
            throw .system(path, "look at the file", code)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw TableError(path: path, reason: "is not a regular file", remedy: "put a file in its place")
        }
        self.path = path
        self.descriptor = descriptor
        size = Int(status.st_size)
    }

    deinit {
        close(descriptor)
    }

    /// Sets the size and takes the disk space for it now, so that a full disk shows before anything is written.
    func allocate(size: Int) throws(TableError) {
        guard size > 0 else { return }
        var code: Int32
        repeat { code = posix_fallocate(descriptor, 0, size) } while code == EINTR
        guard code == 0 else { throw .system(path, "take \(size) bytes of disk space", code) }
    }

    /// Writes all bytes at an offset; several threads may write to different places at once.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(TableError) {
        var written = 0
        while written < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + written, bytes.count - written, offset + written)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .system(path, "write", count == 0 ? ENOSPC : errno) }
            written += count
        }
    }

    /// Writes all bytes at an offset.
    func write(_ bytes: [UInt8], at offset: Int) throws(TableError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(TableError) in try write(bytes, at: offset) }
        }
        try result.get()
    }

    /// Makes the contents survive a power cut.
    func sync() throws(TableError) {
        guard fsync(descriptor) == 0 else { throw .system(path, "write to disk") }
    }

    /// All bytes of a small file; `remedy` is what to do about a larger one.
    func contents(limit: Int, remedy: @autoclosure () -> String) throws(TableError) -> [UInt8] {
        guard size <= limit else {
            throw TableError(
                path: path, reason: "has \(size) bytes, more than the \(limit) that such a file may have",
                remedy: remedy())
        }
        var bytes = [UInt8](repeating: 0, count: size)
        var have = 0
        while have < size {
            let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + have, size - have, have) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .system(path, "read") }
            guard count > 0 else {
                throw TableError(path: path, reason: "shrinks while it is read", remedy: "never write to it in place")
            }
            have += count
        }
        return bytes
    }
}
