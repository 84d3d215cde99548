/// One of the equal parts into which the edges of a graph fall at random: which one, is a hash of the edge's number, so
/// no memory is needed to know.
public struct EdgeFold: Sendable {
    @usableFromInline let seed: UInt64
    @usableFromInline let count: UInt64
    @usableFromInline let number: UInt64

    /// One part of several; the parts of one seed and count are disjoint and make up the graph.
    public init(seed: UInt64, count: Int, number: Int) {
        precondition(count > 0 && (0..<count).contains(number), "a fold is one of a positive number of folds")
        self.seed = seed
        self.count = UInt64(count)
        self.number = UInt64(number)
    }

    /// Whether the edge of this number is in this part.
    ///
    /// splitmix64 of seed and edge, its upper half scaled to the number of folds.
    @inlinable public func contains(_ edge: Int) -> Bool {
        var mixed = seed &+ (UInt64(truncatingIfNeeded: edge) &+ 1) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return (((mixed ^ mixed >> 31) >> 32) &* count) >> 32 == number
    }
}
