import Glibc
import LinearAlgebra
import Synchronization
import Testing

/// `op(A) * op(B)` in double precision.
private func reference(_ a: Matrix, _ transposeA: Bool, _ b: Matrix, _ transposeB: Bool) -> [[Double]] {
    let rows = transposeA ? a.columns : a.rows
    let inner = transposeA ? a.rows : a.columns
    let columns = transposeB ? b.rows : b.columns
    return (0..<rows).map { row in
        (0..<columns).map { column in
            (0..<inner).reduce(0) { sum, index in
                let left = transposeA ? a[index, row] : a[row, index]
                let right = transposeB ? b[column, index] : b[index, column]
                return sum + Double(left) * Double(right)
            }
        }
    }
}

private func randomMatrix(_ rows: Int, _ columns: Int, seed: UInt64) -> Matrix {
    var generator = SeededGenerator(seed: seed)
    let matrix = Matrix(rows: rows, columns: columns)
    for index in 0..<matrix.count { matrix.elements[index] = generator.normal() }
    return matrix
}

private func bits(_ matrix: Matrix) -> [UInt32] {
    (0..<matrix.count).map { matrix.elements[$0].bitPattern }
}

@Suite(.serialized) struct MultiplyTests {
    @Test(arguments: [(3, 5, 7), (300, 4, 9), (8, 6, 1500), (260, 3, 1100), (1, 1, 1)])
    func productMatchesDoubles(rows: Int, columns: Int, inner: Int) {
        for (transposeA, transposeB) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = randomMatrix(transposeA ? inner : rows, transposeA ? rows : inner, seed: 1)
            let b = randomMatrix(transposeB ? columns : inner, transposeB ? inner : columns, seed: 2)
            let c = randomMatrix(rows, columns, seed: 3)
            let before = c.copy()
            multiply(a, transposeA: transposeA, b, transposeB: transposeB, alpha: 0.5, beta: 2, into: c)
            let truth = reference(a, transposeA, b, transposeB)
            for row in 0..<rows {
                for column in 0..<columns {
                    let expected = 0.5 * truth[row][column] + 2 * Double(before[row, column])
                    #expect(abs(Double(c[row, column]) - expected) < 1e-5 * Double(inner) + 1e-5)
                }
            }
        }
    }

    @Test func betaZeroIgnoresWhatWasThere() {
        for inner in [4, 2048] {
            let a = randomMatrix(inner, 3, seed: 4)
            let b = randomMatrix(inner, 2, seed: 5)
            let c = Matrix(rows: 3, columns: 2)
            c.fill(.nan)
            multiply(a, transposeA: true, b, into: c)
            #expect((0..<c.count).allSatisfy { c.elements[$0].isFinite })
        }
    }

    @Test func theSameBytesOnAnyNumberOfThreads() {
        defer { Parallelism.threads = 0 }
        let a = randomMatrix(2000, 64, seed: 6)
        let b = randomMatrix(2000, 48, seed: 7)
        let small = Matrix(rows: 64, columns: 48)
        let large = Matrix(rows: 2000, columns: 2000)
        var results: [[UInt32]] = []
        for threads in [1, 2, 5] {
            Parallelism.threads = threads
            multiply(a, transposeA: true, b, into: small)
            multiply(a, a, transposeB: true, into: large)
            results.append(bits(small) + bits(large))
        }
        #expect(results[0] == results[1])
        #expect(results[0] == results[2])
    }

    /// BLAS keeps work buffers inside; a build without locks hands one to two callers in about 1 of 1,000 such calls.
    @Test func concurrentCallsDoNotDisturbEachOther() {
        defer { Parallelism.threads = 0 }
        Parallelism.threads = 4
        let a = randomMatrix(8, 8, seed: 8)
        let b = randomMatrix(8, 8, seed: 9)
        let expected = Matrix(rows: 8, columns: 8)
        gemm(rows: 8, columns: 8, inner: 8, a.elements, lda: 8, b.elements, ldb: 8, expected.elements, ldc: 8)
        let wrong = Atomic<Int>(0)
        parallelFor(count: 200_000, grain: 10_000) { range in
            let c = Matrix(rows: 8, columns: 8)
            for _ in range {
                gemm(rows: 8, columns: 8, inner: 8, a.elements, lda: 8, b.elements, ldb: 8, c.elements, ldc: 8)
                if memcmp(c.elements, expected.elements, 256) != 0 { wrong.wrappingAdd(1, ordering: .relaxed) }
            }
        }
        #expect(wrong.load(ordering: .relaxed) == 0)
    }

    @Test func emptyFactorsLeaveZeros() {
        let c = Matrix([[1, 2]])
        multiply(Matrix(rows: 1, columns: 0), Matrix(rows: 0, columns: 2), into: c)
        #expect(c[0, 0] == 0 && c[0, 1] == 0)
    }

    @Test func storageIsAligned() {
        for columns in [1, 3, 64] {
            #expect(UInt(bitPattern: Matrix(rows: 5, columns: columns).elements) % 64 == 0)
        }
    }
}
