internal import FletchWire

/// Arenas for handlers that run side by side: taken when a handler first needs one, put back when it returns.
final class ArenaPool {
    /// Arenas kept for the next handlers: their memory is held while the loop idles.
    private static let maxKept = 16
    /// Bytes of an arena before it grows.
    static let capacity = 16 << 10

    private var kept: [Arena] = []

    func take() -> Arena { kept.popLast() ?? Arena(capacity: Self.capacity) }

    func put(_ arena: Arena) {
        guard kept.count < Self.maxKept else {
            arena.destroy()
            return
        }
        arena.reset()
        kept.append(arena)
    }

    deinit { for arena in kept { arena.destroy() } }
}
