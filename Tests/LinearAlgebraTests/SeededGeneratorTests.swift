import LinearAlgebra
import Testing

@Suite struct SeededGeneratorTests {
    @Test func sameSeedSameNumbersOtherStreamOthers() {
        func draw(_ seed: UInt64, _ stream: UInt64) -> [UInt64] {
            var generator = SeededGenerator(seed: seed, stream: stream)
            return (0..<8).map { _ in generator.next() }
        }
        #expect(draw(1, 0) == draw(1, 0))
        #expect(Set([draw(1, 0), draw(1, 1), draw(2, 0), draw(0, 1), draw(0, 2)]).count == 5)
    }

    @Test func integersBelowABoundAreEven() {
        var generator = SeededGenerator(seed: 3)
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[generator.uniform(below: 7)] += 1 }
        // Five standard deviations of a count around 10,000.
        #expect(counts.allSatisfy { abs($0 - 10_000) < 470 })
    }

    @Test func floatsAreInTheUnitInterval() {
        var generator = SeededGenerator(seed: 4)
        let draws = (0..<50_000).map { _ in generator.uniform() }
        #expect(draws.allSatisfy { $0 >= 0 && $0 < 1 })
        #expect(abs(draws.reduce(0, +) / 50_000 - 0.5) < 0.01)
    }

    @Test func normalHasMeanZeroAndVarianceOne() {
        var generator = SeededGenerator(seed: 5)
        let draws = (0..<50_000).map { _ in Double(generator.normal()) }
        let mean = draws.reduce(0, +) / 50_000
        let variance = draws.reduce(0) { $0 + $1 * $1 } / 50_000
        #expect(abs(mean) < 0.025)
        #expect(abs(variance - 1) < 0.035)
        #expect(draws.allSatisfy { $0.isFinite })
    }
}
