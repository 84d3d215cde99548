internal import Glibc

/// A seeded generator of random numbers: xoshiro256** of Blackman and Vigna, its state filled by splitmix64.
///
/// The same seed and stream give the same numbers on any machine. Streams of one seed are independent: give each
/// chunk of a parallel loop a stream of its own and the result does not depend on the order in which chunks run.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Makes the generator of one stream of a seed.
    public init(seed: UInt64, stream: UInt64 = 0) {
        // The stream goes through the mixer first, so that neighbouring seeds and streams do not meet.
        var mixer = SplitMix64(state: stream)
        mixer.state = mixer.next() ^ seed
        state = (mixer.next(), mixer.next(), mixer.next(), mixer.next())
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        let result = Self.rotate(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = Self.rotate(state.3, by: 45)
        return result
    }

    /// A number drawn evenly from `0 ..< 1`.
    public mutating func uniform() -> Float {
        Float(next() >> 40) * 0x1p-24
    }

    /// An integer drawn evenly from `0 ..< bound` (multiplication and rejection, Lemire 2019); `bound` must be positive.
    public mutating func uniform(below bound: Int) -> Int {
        precondition(bound > 0, "there is no integer below \(bound) to draw")
        let bound = UInt64(bound)
        var product = next().multipliedFullWidth(by: bound)
        if product.low < bound {
            let threshold = (0 &- bound) % bound
            while product.low < threshold {
                product = next().multipliedFullWidth(by: bound)
            }
        }
        return Int(product.high)
    }

    /// A number drawn from the standard normal distribution (Box-Muller).
    public mutating func normal() -> Float {
        // From (0, 1], so that the logarithm is finite.
        let radius = Double((next() >> 11) + 1) * 0x1p-53
        let angle = Double(next() >> 11) * 0x1p-53 * 2 * Double.pi
        return Float((-2 * log(radius)).squareRoot() * cos(angle))
    }

    private static func rotate(_ value: UInt64, by count: UInt64) -> UInt64 {
        (value << count) | (value >> (64 - count))
    }
}

private struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
