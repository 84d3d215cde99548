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

    /// How many more files the process may open; nil where the system does not say.
    public static var available: Int? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0,
            let folder = opendir("/proc/self/fd")
        else { return nil }
        defer { closedir(folder) }
        var entries = 0
        while readdir(folder) != nil { entries += 1 }
        // Less `.`, `..` and the folder itself.
        return max(0, Int(clamping: limit.rlim_cur) - (entries - 3))
    }
}
