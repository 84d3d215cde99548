internal import Glibc

/// Why a file or directory of tables cannot be read or written, and what to do about it.
///
/// Prints as one line: `<path>: <reason>; <remedy>`.
public struct TableError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file or directory it is about.
    public let path: String
    /// What is wrong.
    public let reason: String
    /// What to do.
    public let remedy: String

    /// Makes an error from its three parts.
    public init(path: String, reason: String, remedy: String) {
        self.path = path
        self.reason = reason
        self.remedy = remedy
    }

    /// The error as one line, whatever its parts hold.
    public var description: String { "\(path): \(reason); \(remedy)".inOneLine }
}

extension TableError {
    /// A system call on `path` failed and left `code` in `errno`.
    static func system(_ path: String, _ action: String, _ code: Int32 = errno) -> TableError {
        TableError(
            path: path, reason: "cannot \(action): \(String(cString: strerror(code)))", remedy: remedy(for: code))
    }

    /// What to do about a failed system call.
    private static func remedy(for code: Int32) -> String {
        switch code {
        case ENOENT: "check the path"
        case ENOTDIR: "give the path of a directory"
        case EISDIR: "give the path of a file"
        case ELOOP: "put the file or directory itself in place of the symbolic link"
        case EACCES, EPERM: "check the owner and the permissions"
        case EROFS: "choose a file system that can be written"
        case ENOSPC, EDQUOT: "free some space or choose another file system"
        case EFBIG: "raise the limit of file sizes (ulimit -f) or choose a file system for larger files"
        case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
        case ENOMEM: "free some memory, or raise the limit of mappings (vm.max_map_count)"
        default: "check the file system"
        }
    }
}
