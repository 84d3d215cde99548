/// A steady pace with room for bursts: the generic cell rate algorithm, one number for the whole state.
struct Pace {
    /// When the next event would be due if all came evenly, in nanoseconds.
    private var due: UInt64 = 0

    /// Takes an event.
    ///
    /// - Parameters:
    ///   - now: In nanoseconds; never goes back.
    ///   - interval: Between two events, in nanoseconds.
    ///   - burst: Events that may come at once after a rest.
    /// - Returns: How long to wait, in nanoseconds; 0 where the event is taken.
    mutating func take(now: UInt64, interval: UInt64, burst: UInt64) -> UInt64 {
        let early = interval &* (burst &- 1)
        guard due <= now &+ early else { return due &- early &- now }
        due = max(due, now) &+ interval
        return 0
    }

    /// Whether a burst would be taken in full.
    func isRested(now: UInt64) -> Bool { due <= now }
}
