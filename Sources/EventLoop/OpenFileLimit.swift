internal import Glibc

/// The process's limit of open files, which sockets and table files count against.
public enum OpenFileLimit {
    /// Raises the limit to the most that the system lets the process have. The usual one, 1024, is there for programs
    /// that use `select`, and would end a busy server's connections.
    public static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
