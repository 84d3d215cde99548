import LinearAlgebra
import Testing

@Suite struct ParallelTests {
    @Test(arguments: [(0, 3), (1, 3), (9, 3), (10, 3), (1000, 1), (5, 100)])
    func everyIndexOnceInFixedChunks(count: Int, grain: Int) {
        let visits = Matrix(rows: 1, columns: max(1, count))
        let starts = Matrix(rows: 1, columns: max(1, count))
        parallelFor(count: count, grain: grain) { range in
            for index in range {
                visits[0, index] += 1
                starts[0, index] = Float(range.lowerBound)
            }
        }
        for index in 0..<count {
            #expect(visits[0, index] == 1)
            #expect(starts[0, index] == Float(index / grain * grain))
        }
    }

    @Test func loopsNest() {
        let sums = Matrix(rows: 20, columns: 30)
        parallelFor(count: 20, grain: 1) { rows in
            parallelFor(count: 30, grain: 4) { columns in
                for row in rows { for column in columns { sums[row, column] += 1 } }
            }
        }
        #expect((0..<sums.count).allSatisfy { sums.elements[$0] == 1 })
    }
}
