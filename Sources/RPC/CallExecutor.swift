/// Runs the tasks of a loop's calls, all on the loop's thread.
public protocol CallExecutor: TaskExecutor {
    /// Whether the caller is on that thread.
    var isCurrent: Bool { get }
}
