import CKernels
import LinearAlgebra
import Testing

private let sets: [kernels_set] = [
    KERNELS_PORTABLE, KERNELS_NEON, KERNELS_AVX2, KERNELS_AVX512, KERNELS_AVX512_VNNI,
]

/// The kernels of every instruction set that this processor offers.
private var available: [kernels] { sets.map(kernels_of_set).filter { $0.dot_rows != nil } }

@Suite struct KernelTests {
    @Test func aProcessorHasKernels() {
        #expect(available.count >= 1)
        for kernels in available + [kernels_best()] {
            #expect(kernels.dot_rows != nil && kernels.select != nil)
            #expect(kernels.score_codes != nil && kernels.look_up != nil)
        }
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

    /// The products are exact, whatever wraps on the way, and the three roundings are the same everywhere.
    @Test(arguments: [1, 3, 15, 16, 17, 31, 32, 33, 64, 65, 100, 128, 4096])
    func codesAreScoredExactly(dimension: Int) {
        var generator = SeededGenerator(seed: UInt64(dimension))
        let count = 37
        let codes = (0..<count * dimension).map { _ in Int8(generator.uniform(below: 255) - 127) }
        let scales = (0..<count).map { _ in generator.uniform() + 0.1 }
        // As large as leaves the products of all codes in 32 bits.
        let largest = min(32_767, Int(Int32.max) / (127 * dimension))
        let steps = (0..<dimension).map { _ in Int16(generator.uniform(below: 2 * largest + 1) - largest) }
        let listed = (0..<29).map { _ in UInt32(generator.uniform(below: count)) }
        let all = (0..<UInt32(count)).map { $0 }
        func expected(_ row: UInt32) -> Float {
            let vector = codes[Int(row) * dimension..<(Int(row) + 1) * dimension]
            let product = zip(steps, vector).reduce(0) { $0 + Int($1.0) * Int($1.1) }
            let scaled = 0.25 * Float(product)
            let widened = scaled + 3
            return scales[Int(row)] * widened
        }
        for kernels in available {
            steps.withUnsafeBufferPointer { steps in
                var query = kernels_code_query(steps: steps.baseAddress!, step: 0.25, margin: 3)
                var scores = [Float](repeating: .nan, count: count + 1)
                kernels.score_codes(&query, codes, scales, nil, count, dimension, &scores)
                #expect(Array(scores[..<count]) == all.map(expected))
                #expect(scores[count].isNaN, "wrote beyond the last score")
                kernels.score_codes(&query, codes, scales, listed, listed.count, dimension, &scores)
                #expect(Array(scores[..<listed.count]) == listed.map(expected))
            }
        }
    }

    @Test(arguments: [(0, 1), (1, 1), (1, 2), (3, 5), (2, 16), (7, 64)])
    func lookedUpSumsAreExact(blocks: Int, groups: Int) {
        var generator = SeededGenerator(seed: UInt64(blocks * 100 + groups))
        let size = groups * Int(KERNELS_GROUP_BYTES)
        let largest = min(256, 65_536 / (4 * groups))
        let tables = (0..<size).map { _ in UInt8(generator.uniform(below: largest)) }
        let codes = (0..<blocks * size).map { _ in UInt8(generator.uniform(below: 256)) }
        var truth: [UInt16] = []
        for block in 0..<blocks {
            for row in 0..<32 {
                truth.append(
                    (0..<4 * groups).reduce(0) { sum, code in
                        let byte = codes[block * size + 16 * code + row % 16]
                        return sum + UInt16(tables[16 * code + Int(row < 16 ? byte & 15 : byte >> 4)])
                    })
            }
        }
        let middle = truth.sorted().dropFirst(truth.count / 2).first ?? 0
        for threshold in [0, middle, middle + 1, truth.max() ?? 0, .max] {
            let expected = truth.indices.filter { truth[$0] >= threshold }
            for kernels in available {
                var hits = [UInt32](repeating: .max, count: truth.count + 1)
                var sums = [UInt16](repeating: 0, count: truth.count + 1)
                let found = kernels.look_up(tables, codes, blocks, groups, threshold, &hits, &sums)
                #expect(hits[..<found].map { Int($0) } == expected)
                #expect(Array(sums[..<found]) == expected.map { truth[$0] })
                #expect(hits[truth.count] == .max)
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
