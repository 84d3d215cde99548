internal import Glibc
public import LinearAlgebra

/// A matrix that is learned, with its gradient and the state of its optimizer.
public final class Parameter: Sendable {
    /// The learned values.
    public let value: Matrix
    /// The gradient of the loss, of the same shape.
    public let gradient: Matrix
    fileprivate let firstMoment: Matrix
    fileprivate let secondMoment: Matrix

    /// The values and what the optimizer remembers of them: what a training needs to go on.
    public var state: [Matrix] { [value, firstMoment, secondMoment] }

    /// Makes a parameter that starts with the given values.
    public init(_ value: Matrix) {
        self.value = value
        gradient = Matrix(rows: value.rows, columns: value.columns)
        firstMoment = Matrix(rows: value.rows, columns: value.columns)
        secondMoment = Matrix(rows: value.rows, columns: value.columns)
    }
}

/// Adam (Kingma and Ba, ICLR 2015) with bias correction.
public struct Adam: Sendable {
    private let beta1: Float = 0.9
    private let beta2: Float = 0.999
    private let epsilon: Float = 1e-8
    /// Steps done.
    public private(set) var step: Int

    private static let elementsPerChunk = 16_384

    /// Starts after a number of steps.
    public init(step: Int = 0) { self.step = step }

    /// Moves all parameters one step of the given rate against their gradients.
    public mutating func update(_ parameters: [Parameter], rate: Float) {
        step += 1
        let firstCorrection = 1 - pow(beta1, Float(step))
        let secondCorrection = 1 - pow(beta2, Float(step))
        let scaledRate = rate * secondCorrection.squareRoot() / firstCorrection
        let scaledEpsilon = epsilon * secondCorrection.squareRoot()
        for parameter in parameters {
            parallelFor(count: parameter.value.count, grain: Self.elementsPerChunk) { range in
                update(parameter, range, rate: scaledRate, epsilon: scaledEpsilon)
            }
        }
    }

    private func update(_ parameter: Parameter, _ range: Range<Int>, rate: Float, epsilon: Float) {
        let value = parameter.value.elements
        let gradient = parameter.gradient.elements
        let first = parameter.firstMoment.elements
        let second = parameter.secondMoment.elements
        for index in range {
            let slope = gradient[index]
            first[index] = beta1 * first[index] + (1 - beta1) * slope
            second[index] = beta2 * second[index] + (1 - beta2) * slope * slope
            value[index] -= rate * first[index] / (second[index].squareRoot() + epsilon)
        }
    }
}
