internal import FletchEventLoop
internal import Glibc
internal import InteropSchema
internal import FletchRPC

/// What the streaming handlers of all loops have done.
final class Observer: Sendable {
    private let observation = Locked(Observation())

    /// Runs a streaming handler and counts how it began and ended.
    func watch<Result>(_ handler: () async throws -> Result) async throws -> Result {
        count { $0.started += 1 }
        do {
            let result = try await handler()
            count { $0.returned += 1 }
            return result
        } catch {
            let isCancellation = Self.isCancellation(error)
            count { if isCancellation { $0.cancelled += 1 } else { $0.failed += 1 } }
            throw error
        }
    }

    func count(_ note: (inout Observation) -> Void) { observation.withLock(note) }

    func current() -> Observation {
        var current = observation.withLock { $0 }
        current.residentBytes = Self.residentBytes()
        return current
    }

    private static func isCancellation(_ error: any Error) -> Bool {
        if Task.isCancelled || error is CancellationError { return true }
        return (error as? RPCError)?.code == .cancelled
    }

    /// The second number of /proc/self/statm, in pages.
    private static func residentBytes() -> UInt64 {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, CInt(line.count), file) != nil else { return 0 }
        let fields = line.prefix { $0 != 0 }.split(separator: CChar(bitPattern: UInt8(ascii: " ")))
        let pages = fields.count > 1 ? UInt64(String(decoding: fields[1].map(UInt8.init), as: UTF8.self)) : nil
        return (pages ?? 0) * UInt64(sysconf(CInt(_SC_PAGESIZE)))
    }
}
