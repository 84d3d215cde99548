import Foundation
import LinearAlgebra
import Testing

@testable import Learning

/// A matrix of normal numbers.
func normalMatrix(_ rows: Int, _ columns: Int, seed: UInt64, scale: Float = 1) -> Matrix {
    var generator = SeededGenerator(seed: seed)
    let matrix = Matrix(rows: rows, columns: columns)
    for index in 0..<matrix.count { matrix.elements[index] = scale * generator.normal() }
    return matrix
}

/// Compares a gradient with central differences of a loss, element by element.
func expectGradient(
    _ gradient: Matrix, of value: Matrix, step: Float = 1e-2, tolerance: Float = 2e-3, _ name: String,
    loss: () -> Float
) {
    for index in 0..<value.count {
        let original = value.elements[index]
        value.elements[index] = original + step
        let above = loss()
        value.elements[index] = original - step
        let below = loss()
        value.elements[index] = original
        let difference = (above - below) / (2 * step)
        #expect(
            abs(difference - gradient.elements[index]) < tolerance * max(1, abs(difference)),
            "\(name)[\(index)]: \(gradient.elements[index]), by differences \(difference)")
    }
}

/// The sum of all elements, each times a fixed weight: a loss whose gradient by the matrix is the weights.
func weightedSum(_ matrix: Matrix, _ weights: Matrix) -> Float {
    var sum = 0.0
    for index in 0..<matrix.count { sum += Double(matrix.elements[index]) * Double(weights.elements[index]) }
    return Float(sum)
}

@Suite struct GradientTests {
    @Test(arguments: [3, 8, 11])
    func rowNormalization(width: Int) {
        let x = normalMatrix(4, width, seed: 1)
        let weights = normalMatrix(4, width, seed: 2)
        let y = x.copy()
        let gradient = weights.copy()
        RowNormalization(y).backward(gradient, normalized: y)
        for row in 0..<4 {
            let length = (0..<width).reduce(Float(0)) { $0 + y[row, $1] * y[row, $1] }
            #expect(abs(length - 1) < 1e-5)
        }
        expectGradient(gradient, of: x, "x") {
            let y = x.copy()
            _ = RowNormalization(y)
            return weightedSum(y, weights)
        }
    }

    @Test func rowNormalizationLeavesZeros() {
        let x = Matrix(rows: 2, columns: 8)
        let gradient = Matrix(rows: 2, columns: 8)
        RowNormalization(x).backward(gradient, normalized: x)
        #expect((0..<16).allSatisfy { x.elements[$0] == 0 && gradient.elements[$0] == 0 })
    }

    @Test func sparseProductAndItsTranspose() {
        let sparse = SparseMatrix(
            columns: 4, offsets: [0, 2, 2, 6], indices: [1, 3, 0, 1, 1, 2], values: [0.5, 2, -1, 3, 1, 0.25])
        var dense = [[Float]](repeating: [0, 0, 0, 0], count: 3)
        for row in 0..<3 {
            for entry in sparse.offsets[row]..<sparse.offsets[row + 1] {
                dense[row][Int(sparse.indices[entry])] += sparse.values[entry]
            }
        }
        for width in [1, 5, 8, 19] {
            let x = normalMatrix(4, width, seed: 3)
            let y = normalMatrix(3, width, seed: 4)
            let product = y.copy()
            sparse.multiply(x, scale: 2, adding: true, into: product)
            let back = Matrix(rows: 4, columns: width)
            sparse.transposed().multiply(y, into: back)
            for column in 0..<width {
                for row in 0..<3 {
                    let expected = (0..<4).reduce(y[row, column]) { $0 + 2 * dense[row][$1] * x[$1, column] }
                    #expect(abs(product[row, column] - expected) < 1e-4)
                }
                for row in 0..<4 {
                    let expected = (0..<3).reduce(Float(0)) { $0 + dense[$1][row] * y[$1, column] }
                    #expect(abs(back[row, column] - expected) < 1e-4)
                }
            }
        }
    }

    @Test func dropoutZeroesItsShareAndKeepsTheMean() {
        let matrix = Matrix(rows: 2000, columns: 50)
        matrix.fill(1)
        Dropout(probability: 0.3, seed: 5).apply(matrix)
        let zeros = (0..<matrix.count).count { matrix.elements[$0] == 0 }
        #expect(abs(Double(zeros) / Double(matrix.count) - 0.3) < 0.01)
        #expect((0..<matrix.count).allSatisfy { matrix.elements[$0] == 0 || abs(matrix.elements[$0] - 1 / 0.7) < 1e-6 })
        let again = Matrix(rows: 2000, columns: 50)
        again.fill(1)
        Dropout(probability: 0.3, seed: 5).apply(again)
        #expect(memcmp(matrix.elements, again.elements, matrix.count * 4) == 0)
        Dropout(probability: 0, seed: 5).apply(again)
        #expect(memcmp(matrix.elements, again.elements, matrix.count * 4) == 0)
    }

    @Test func exponentialsAreAccurate() {
        let values = (0..<4001).map { Float($0) * 0.02 - 80 }
        for count in [1, 7, 8, 4001] {
            var row = Array(values.suffix(count))
            let sum = row.withUnsafeMutableBufferPointer { Rows.exponentials($0.baseAddress!, count, less: 0.5) }
            var expectedSum = 0.0
            for (value, result) in zip(values.suffix(count), row) {
                let expected = exp(Double(value - 0.5))
                expectedSum += expected
                #expect(abs(Double(result) - expected) <= 1e-6 * expected + 1e-36)
            }
            #expect(abs(Double(sum) - expectedSum) <= 1e-5 * expectedSum)
        }
        var excluded: [Float] = [-1e30, -.infinity, 0]
        _ = excluded.withUnsafeMutableBufferPointer { Rows.exponentials($0.baseAddress!, 3, less: 0) }
        #expect(excluded[0] < 1e-37 && excluded[1] < 1e-37 && excluded[2] == 1)
    }
}

@Suite struct SampledSoftmaxTests {
    private let nodes = 6
    private let width = 5

    private func scorer() -> PairScorer {
        let temperature = Matrix(rows: 1, columns: 1)
        temperature[0, 0] = 0.4
        return PairScorer(
            source: normalMatrix(nodes, width, seed: 10), target: normalMatrix(nodes, width, seed: 11),
            sourceGradient: Matrix(rows: nodes, columns: width), targetGradient: Matrix(rows: nodes, columns: width),
            bias: Parameter(normalMatrix(nodes, 1, seed: 12, scale: 0.3)), logTemperature: Parameter(temperature))
    }

    private func batch() -> PairBatch {
        var batch = PairBatch()
        batch.append(source: 0, target: 1, weight: 1, directionWeight: 0.3)
        batch.append(source: 0, target: 4, weight: 2, directionWeight: 0)
        batch.append(source: 2, target: 0, weight: 0.5, directionWeight: 0.2)
        batch.append(source: 5, target: 2, weight: 1, directionWeight: 0.7)
        return batch
    }

    /// 1 and 4 are known targets of 0 and 3 occurs twice.
    private let negatives = SharedNegatives(
        rows: [3, 1, 5, 3, 0], logExpectedCounts: [0.2, -0.5, 0, 0.2, 0.9])
    private let known = SparseMatrix(
        columns: 6, offsets: [0, 2, 2, 3, 3, 3, 4], indices: [1, 4, 0, 2], values: [1, 1, 1, 1])

    @Test func lossIsThatOfTheFormula() {
        let scorer = scorer()
        let loss = SampledSoftmax(negatives: negatives, scorer: scorer, known: known, total: 4.5).backward(batch())
        func score(_ u: Int, _ v: Int) -> Double {
            let product = (0..<width).reduce(0.0) { $0 + Double(scorer.source[u, $1]) * Double(scorer.target[v, $1]) }
            return exp(0.4) * product + Double(scorer.bias.value[v, 0])
        }
        let pairs = [(0, 1, 1.0, 0.3), (0, 4, 2, 0), (2, 0, 0.5, 0.2), (5, 2, 1, 0.7)]
        let forbidden: [Int: Set<Int>] = [0: [0, 1, 4], 2: [2, 0], 5: [5, 2]]
        var expected = 0.0
        for (u, v, weight, directionWeight) in pairs {
            var sum = exp(score(u, v))
            for (row, count) in zip(negatives.rows, negatives.logExpectedCounts) where !forbidden[u]!.contains(Int(row))
            {
                sum += exp(score(u, Int(row)) - Double(count))
            }
            expected += weight * (log(sum) - score(u, v))
            expected += directionWeight * log1p(exp(score(v, u) - score(u, v)))
        }
        #expect(abs(Double(loss) - expected / 4.5) < 1e-4)
    }

    @Test func gradientsAgreeWithDifferences() {
        let scorer = scorer()
        let batch = batch()
        let softmax = {
            scorer.clearGradients()
            return SampledSoftmax(negatives: negatives, scorer: scorer, known: known, total: 4.5).backward(batch)
        }
        _ = softmax()
        let expected = [
            (scorer.sourceGradient.copy(), scorer.source, "source"),
            (scorer.targetGradient.copy(), scorer.target, "target"),
            (scorer.bias.gradient.copy(), scorer.bias.value, "bias"),
            (scorer.logTemperature.gradient.copy(), scorer.logTemperature.value, "log temperature"),
        ]
        for (gradient, value, name) in expected {
            #expect((0..<gradient.count).contains { gradient.elements[$0] != 0 })
            expectGradient(gradient, of: value, name, loss: softmax)
        }
    }

    /// Rows that are alike to each other: sources and targets are the same rows, with one gradient for both.
    @Test func gradientsOfSimilarityAgreeWithDifferences() {
        let temperature = Matrix(rows: 1, columns: 1)
        temperature[0, 0] = 0.4
        let rows = normalMatrix(nodes, width, seed: 10)
        let gradient = Matrix(rows: nodes, columns: width)
        let scorer = PairScorer(
            source: rows, target: rows, sourceGradient: gradient, targetGradient: gradient,
            bias: Parameter(Matrix(rows: nodes, columns: 1)), logTemperature: Parameter(temperature))
        var batch = PairBatch()
        batch.append(source: 0, target: 1, weight: 1, directionWeight: 0)
        batch.append(source: 1, target: 2, weight: 0.5, directionWeight: 0)
        batch.append(source: 2, target: 0, weight: 1.5, directionWeight: 0)
        let softmax = {
            scorer.clearGradients()
            return SampledSoftmax(negatives: negatives, scorer: scorer, known: known, total: 3).backward(batch)
        }
        _ = softmax()
        expectGradient(gradient.copy(), of: rows, "rows", loss: softmax)
        expectGradient(
            scorer.logTemperature.gradient.copy(), of: scorer.logTemperature.value, "log temperature", loss: softmax)
    }

    @Test func batchesAddUp() {
        let (whole, parts) = (scorer(), scorer())
        let batch = batch()
        let loss = SampledSoftmax(negatives: negatives, scorer: whole, known: known, total: 4.5).backward(batch)
        let softmax = SampledSoftmax(negatives: negatives, scorer: parts, known: known, total: 4.5)
        var sum: Float = 0
        for (index, source) in batch.sources.enumerated() {
            var part = PairBatch()
            for pair in batch.offsets[index]..<batch.offsets[index + 1] {
                part.append(
                    source: source, target: batch.targets[pair], weight: batch.weights[pair],
                    directionWeight: batch.directionWeights[pair])
            }
            sum += softmax.backward(part)
        }
        #expect(abs(sum - loss) < 1e-5)
        for (a, b) in [
            (whole.sourceGradient, parts.sourceGradient), (whole.targetGradient, parts.targetGradient),
            (whole.bias.gradient, parts.bias.gradient), (whole.logTemperature.gradient, parts.logTemperature.gradient),
        ] {
            for index in 0..<a.count { #expect(abs(a.elements[index] - b.elements[index]) < 1e-5) }
        }
    }

    @Test func survivesExtremeScores() {
        let scorer = scorer()
        for index in 0..<scorer.source.count { scorer.source.elements[index] *= 1000 }
        let loss = SampledSoftmax(negatives: negatives, scorer: scorer, known: known, total: 4.5).backward(batch())
        #expect(loss.isFinite)
        #expect((0..<scorer.sourceGradient.count).allSatisfy { scorer.sourceGradient.elements[$0].isFinite })
    }
}

@Suite struct AdamTests {
    @Test func firstStepsAreThoseOfTheFormula() {
        let parameter = Parameter(Matrix([[1, -2, 0]]))
        var adam = Adam()
        var expected: [Double] = [1, -2, 0]
        var first = [0.0, 0, 0]
        var second = [0.0, 0, 0]
        for step in 1...5 {
            let gradients: [Double] = [0.5 * Double(step), -3, 0]
            for index in 0..<3 { parameter.gradient[0, index] = Float(gradients[index]) }
            adam.update([parameter], rate: 0.1)
            for index in 0..<3 {
                first[index] = 0.9 * first[index] + 0.1 * gradients[index]
                second[index] = 0.999 * second[index] + 0.001 * gradients[index] * gradients[index]
                let corrected = second[index] / (1 - pow(0.999, Double(step)))
                expected[index] -= 0.1 * first[index] / (1 - pow(0.9, Double(step))) / (corrected.squareRoot() + 1e-8)
            }
        }
        for index in 0..<3 { #expect(abs(Double(parameter.value[0, index]) - expected[index]) < 1e-5) }
    }

    @Test func findsTheMinimumOfAQuadratic() {
        let parameter = Parameter(normalMatrix(3, 4, seed: 8, scale: 5))
        var adam = Adam()
        for step in 0..<2000 {
            for index in 0..<12 { parameter.gradient.elements[index] = 2 * (parameter.value.elements[index] - 3) }
            adam.update([parameter], rate: 0.1 * Float(2000 - step) / 2000)
        }
        #expect((0..<12).allSatisfy { abs(parameter.value.elements[$0] - 3) < 1e-2 })
    }
}
