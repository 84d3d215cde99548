internal import CUV
internal import Glibc
internal import Synchronization

/// Runs Swift tasks on a loop's thread: what they share with the loop's connections needs no lock.
///
/// Jobs run between the loop's turns of I/O, for ``turnNanoseconds`` at a time, so that tasks that yield cannot keep
/// the loop from its sockets.
public final class LoopExecutor: TaskExecutor, @unchecked Sendable {
    /// How long jobs may run before sockets have their turn: well below what a caller on the same loop would notice.
    static let turnNanoseconds: UInt64 = 500_000

    private let proxy: LoopProxy
    private let idle: UnsafeMutablePointer<uv_idle_t>
    /// The loop's thread while it runs; 0 before and after.
    private let thread = Atomic<UInt>(0)
    // Touched on the loop's thread alone.
    private var jobs = JobQueue()
    private var isScheduled = false
    private var isOpen = true
    /// Called on the loop's thread after a turn of jobs.
    public var afterTurn: () -> Void = {}

    init(loop: UnsafeMutablePointer<uv_loop_t>, proxy: LoopProxy) {
        self.proxy = proxy
        idle = .allocate(capacity: 1)
        uv_idle_init(loop, idle)  // always 0
        idle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { idle.deallocate() }

    /// Whether the caller is on the loop's thread.
    public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            append(job)
        } else if !proxy.post({ [self] in append(job) }) {
            // The loop has ended; what is left of its tasks finds that out elsewhere.
            globalConcurrentExecutor.enqueue(job)
        }
    }

    /// Makes the calling thread the loop's.
    func attach() { thread.store(UInt(pthread_self()), ordering: .relaxed) }

    /// Hands jobs that wait to the process's other threads, and takes no more. On the loop's thread.
    func close() {
        guard isOpen else { return }
        isOpen = false
        thread.store(0, ordering: .relaxed)
        while let job = jobs.next() { globalConcurrentExecutor.enqueue(job) }
        idle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        uv_close(UnsafeMutableRawPointer(idle).assumingMemoryBound(to: uv_handle_t.self), onIdleClosed)
    }

    private func append(_ job: UnownedJob) {
        jobs.append(job)
        guard !isScheduled else { return }
        isScheduled = true
        uv_idle_start(idle, onIdle)
    }

    fileprivate func runTurn() {
        let end = uv_hrtime() + Self.turnNanoseconds
        while let job = jobs.next() {
            job.runSynchronously(on: asUnownedTaskExecutor())
            if uv_hrtime() >= end { break }
        }
        if jobs.isEmpty, isOpen {
            isScheduled = false
            uv_idle_stop(idle)
        }
        afterTurn()
    }
}

/// Jobs in the order they came, in memory that is used again.
private struct JobQueue {
    private var jobs: [UnownedJob] = []
    private var head = 0

    var isEmpty: Bool { head == jobs.count }

    mutating func append(_ job: UnownedJob) { jobs.append(job) }

    mutating func next() -> UnownedJob? {
        guard head < jobs.count else { return nil }
        let job = jobs[head]
        head += 1
        if head == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 1024, head * 2 > jobs.count {
            // A queue that never runs empty must not grow for ever.
            jobs.removeFirst(head)
            head = 0
        }
        return job
    }
}

private func onIdle(_ handle: UnsafeMutablePointer<uv_idle_t>?) {
    Unmanaged<LoopExecutor>.fromOpaque(handle!.pointee.data).takeUnretainedValue().runTurn()
}

private func onIdleClosed(_ handle: UnsafeMutablePointer<uv_handle_t>?) {
    Unmanaged<LoopExecutor>.fromOpaque(handle!.pointee.data).release()
}
