import CKernels
import LinearAlgebra
import Testing

private let sets: [kernels_set] = [KERNELS_PORTABLE, KERNELS_NEON, KERNELS_AVX2, KERNELS_AVX512]

/// The kernels of every instruction set that this processor offers.
private var available: [kernels] { sets.map(kernels_of_set).filter { $0.dot_rows != nil } }

@Suite struct KernelTests {
    @Test func aProcessorHasKernels() {
        #expect(available.count >= 1)
        #expect(kernels_best().dot_rows != nil && kernels_best().select != nil)
    }

    @Test(arguments: [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 257])
    func innerProductsMatchDoubles(dimension: Int) {
        var generator = SeededGenerator(seed: UInt64(dimension))
        for count in [1, 2, 3, 4, 5, 8, 11] {
            let query = (0..<dimension).map { _ in generator.normal() }
            let rows = (0..<count * dimension).map { _ in generator.normal() }
            let queryNorm = query.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            for kernels in available {
                var scores = [Float](repeating: .nan, count: count + 1)
                kernels.dot_rows(query, rows, count, dimension, &scores)
                for row in 0..<count {
                    let vector = rows[row * dimension..<(row + 1) * dimension]
                    let truth = zip(query, vector).reduce(0) { $0 + Double($1.0) * Double($1.1) }
                    let norm = vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
                    #expect(abs(Double(scores[row]) - truth) <= Double(dimension + 1) * 0x1p-24 * queryNorm * norm)
                    #expect(kernels_dot(query, Array(vector), dimension).isApproximately(truth))
                }
                #expect(scores[count].isNaN, "wrote beyond the last score")
            }
        }
    }

    @Test(arguments: [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 100, 256])
    func selectionFindsWhatReachesTheThreshold(count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let scores = (0..<count).map { _ in Float(generator.uniform(below: 5)) }
        for threshold in [-Float.infinity, 0, 1, 3, 4, 5, .infinity] {
            let expected = scores.indices.filter { scores[$0] >= threshold }.map { UInt32($0) }
            for kernels in available {
                var hits = [UInt32](repeating: .max, count: count + 1)
                let found = kernels.select(scores, count, threshold, &hits)
                #expect(Array(hits[..<found]) == expected)
                #expect(hits[count] == .max)
            }
        }
    }

    /// No processor may add in another order, for published scores must be the same everywhere.
    @Test func theDoubleProductHasAFixedOrder() {
        var generator = SeededGenerator(seed: 1)
        for dimension in 1...70 {
            let left = (0..<dimension).map { _ in generator.normal() * 1e6 }
            let right = (0..<dimension).map { _ in generator.normal() }
            var lanes = [Double](repeating: 0, count: 8)
            for index in 0..<dimension { lanes[index % 8] += Double(left[index]) * Double(right[index]) }
            let expected =
                ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
            #expect(kernels_dot(left, right, dimension) == expected)
        }
    }
}

extension Double {
    fileprivate func isApproximately(_ other: Double) -> Bool { abs(self - other) <= 1e-12 * (1 + abs(other)) }
}
