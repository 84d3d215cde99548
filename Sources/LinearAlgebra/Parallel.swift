internal import Dispatch
internal import Glibc
internal import Synchronization

/// How many threads the parallel loops of this process use.
public enum Parallelism {
    private static let limit = Atomic<Int>(0)

    /// The number of threads; one for each core of the process unless set. Setting 0 returns to that.
    ///
    /// Only the time depends on it: loops are cut into the same chunks, and sums are added in the same order, on
    /// any number of threads.
    public static var threads: Int {
        get {
            let limit = limit.load(ordering: .relaxed)
            return limit > 0 ? limit : coreCount
        }
        set {
            limit.store(max(0, newValue), ordering: .relaxed)
        }
    }

    private static let coreCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
}

/// Runs `body` over `0..<count`, cut into consecutive ranges of `grain` (the last may be shorter), on all cores.
///
/// The ranges depend on `count` and `grain` alone, so a body that writes only what belongs to its range, or keeps a
/// partial sum for each range (number `range.lowerBound / grain`) to be added in order afterwards, gives the same
/// bytes on any number of threads. Ranges run in no particular order, several at once: the body must not write what
/// another range touches, which the compiler cannot check here.
public func parallelFor(count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    precondition(grain > 0, "parallelFor needs a grain of at least 1")
    let chunks = (count + grain - 1) / grain
    guard chunks > 0 else { return }
    let workers = min(Parallelism.threads, chunks)
    if workers == 1 {
        for chunk in 0..<chunks {
            body(chunk * grain..<min(count, (chunk + 1) * grain))
        }
        return
    }
    let next = ChunkCounter()
    // The closure is held to the promise above: concurrentPerform returns when all ranges are done.
    nonisolated(unsafe) let body = body
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
        while let chunk = next.take(below: chunks) {
            body(chunk * grain..<min(count, (chunk + 1) * grain))
        }
    }
}

/// Hands out the numbers of the chunks of one loop, each once.
private final class ChunkCounter: Sendable {
    private let next = Atomic<Int>(0)

    func take(below chunks: Int) -> Int? {
        let chunk = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return chunk < chunks ? chunk : nil
    }
}
