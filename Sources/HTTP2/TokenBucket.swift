/// An allowance that is spent by events and refilled by time or by good deeds; it has no clock of its own.
struct TokenBucket {
    private(set) var tokens: Int
    let burst: Int

    init(burst: Int) {
        self.burst = burst
        tokens = burst
    }

    /// Takes one token; false where none is left.
    mutating func spend() -> Bool {
        guard tokens > 0 else { return false }
        tokens &-= 1
        return true
    }

    mutating func earn(_ count: Int) {
        tokens = min(burst, tokens &+ count)
    }
}
