/// Runs jobs when the test says so, on the test's thread: a loop without sockets.
public final class ManualExecutor: TaskExecutor, @unchecked Sendable {
    private var jobs: [UnownedJob] = []

    public init() {}

    /// Whatever thread asks: the test has only one.
    public var isCurrent: Bool { true }

    public var hasJobs: Bool { !jobs.isEmpty }

    public func enqueue(_ job: consuming ExecutorJob) { jobs.append(UnownedJob(job)) }

    /// Runs everything that is ready, and what that makes ready.
    public func runAll() {
        while !jobs.isEmpty { jobs.removeFirst().runSynchronously(on: asUnownedTaskExecutor()) }
    }
}
