internal import Foundation
internal import LinearAlgebra

/// Fits the weights of a linear score by the softmax over candidates, in which the first one should win.
///
/// Minimises the convex function `sum_edges -log softmax(w . x + offset)[0] + |w - start|^2 / 2` under lower bounds of the
/// weights, by Newton steps: the quadratic model is minimised within the bounds by coordinate descent, then a line search
/// goes as far towards its minimum as the function falls.
struct SoftmaxFit {
    /// The lane of the inner product, after those of the features.
    static let innerProduct = 7
    /// The least weight of the inner product, by which the others are divided in the end.
    private static let leastInnerWeight = 0.05
    private static let mostSteps = 50
    /// Edges that are summed by one thread, in a fixed order.
    private static let grain = 256

    private typealias Vector = SIMD8<Double>

    private let sets: [[CandidateSets.Candidate]]
    /// The ranker that the ridge pulls to, as strong as one edge: the inner product alone.
    private static let start = Vector(0, 0, 0, 0, 0, 0, 0, 1)
    private static let bounds = Vector(0, 0, 0, 0, 0, 0, 0, leastInnerWeight)

    init(_ sets: [[CandidateSets.Candidate]]) { self.sets = sets }

    /// The weights of the features beside that of the inner product, 1.
    func weights() -> HybridWeights {
        var weights = Self.start
        var model = self.model(at: weights)
        for _ in 0..<Self.mostSteps {
            let minimum = Self.minimum(of: model, around: weights)
            var step = 1.0
            var next = self.model(at: minimum)
            while next.value > model.value, step > 1e-6 {
                step /= 2
                next = self.model(at: weights + step * (minimum - weights))
            }
            guard next.value < model.value else { break }
            let isDone = model.value - next.value < 1e-9 * abs(model.value)
            weights += step * (minimum - weights)
            model = next
            if isDone { break }
        }
        let relative = weights / weights[Self.innerProduct]
        return HybridWeights(
            Dictionary(uniqueKeysWithValues: PathFeature.allCases.map { ($0, Float(relative[$0.rawValue])) }))
    }

    /// The function, its gradient and its matrix of second derivatives at one place.
    private struct Model {
        var value = 0.0
        var gradient = Vector.zero
        var curvature = [Vector](repeating: .zero, count: Vector.scalarCount)

        mutating func add(_ other: Model) {
            value += other.value
            gradient += other.gradient
            for row in curvature.indices { curvature[row] += other.curvature[row] }
        }

        /// Adds one edge: the mean and covariance of the terms under the softmax are what its derivatives are made of.
        mutating func add(_ set: [CandidateSets.Candidate], weights: Vector, probabilities: inout [Double]) {
            probabilities.removeAll(keepingCapacity: true)
            var largest = -Double.infinity
            for candidate in set {
                let score = (weights * Vector(candidate.terms)).sum() + Double(candidate.offset)
                largest = max(largest, score)
                probabilities.append(score)
            }
            let first = probabilities[0]
            var total = 0.0
            for index in probabilities.indices {
                probabilities[index] = exp(probabilities[index] - largest)
                total += probabilities[index]
            }
            var mean = Vector.zero
            for (candidate, probability) in zip(set, probabilities) {
                let terms = Vector(candidate.terms)
                let share = probability / total * terms
                mean += share
                for row in curvature.indices { curvature[row] += share[row] * terms }
            }
            for row in curvature.indices { curvature[row] -= mean[row] * mean }
            gradient += mean - Vector(set[0].terms)
            value += largest + log(total) - first
        }
    }

    private func model(at weights: Vector) -> Model {
        let chunks = (sets.count + Self.grain - 1) / Self.grain
        var parts = [Model](repeating: Model(), count: chunks)
        parts.withUnsafeMutableBufferPointer { parts in
            nonisolated(unsafe) let parts = parts
            parallelFor(count: sets.count, grain: Self.grain) { range in
                var part = Model()
                var probabilities: [Double] = []
                for set in sets[range] { part.add(set, weights: weights, probabilities: &probabilities) }
                parts[range.lowerBound / Self.grain] = part
            }
        }
        let distance = weights - Self.start
        var model = Model()
        for part in parts { model.add(part) }
        model.value += (distance * distance).sum() / 2
        model.gradient += distance
        for row in model.curvature.indices { model.curvature[row][row] += 1 }
        return model
    }

    /// Where the quadratic model is least within the bounds; coordinate descent on a positive definite matrix converges.
    private static func minimum(of model: Model, around weights: Vector) -> Vector {
        var result = weights
        for _ in 0..<1000 {
            let before = result
            for index in model.curvature.indices {
                let slope = model.gradient[index] + (model.curvature[index] * (result - weights)).sum()
                result[index] = max(bounds[index], result[index] - slope / model.curvature[index][index])
            }
            if ((result - before) * (result - before)).sum() < 1e-18 { break }
        }
        return result
    }
}
