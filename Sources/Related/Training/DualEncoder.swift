internal import Learning
internal import LinearAlgebra

/// Turns a learned input row for each node into a source and a target row by message passing along both directions.
///
///     h_0 = dropout(X)
///     h_l = normalise(h_(l-1) Wself + Out h_(l-1) Wout + In h_(l-1) Win)
///     s = normalise(sum_l h_l S_l),  t = normalise(sum_l h_l T_l)
///
/// The last two coordinates of s and t stay zero: they are kept for the biases of the published vectors.
final class DualEncoder {
    /// Source rows of the last forward pass (nodes x dimension).
    let source: Matrix
    /// Target rows of the last forward pass (nodes x dimension).
    let target: Matrix
    /// All that is learned.
    let parameters: [Parameter]

    private let table: Parameter
    private let layers: [Layer]
    private let sourceHeads: [Parameter]
    private let targetHeads: [Parameter]
    private let isSingle: Bool
    /// h_0 ... h_L of the last forward pass.
    private let hidden: [Matrix]
    /// One gradient for two neighbouring layers and room for one product.
    private var gradient: Matrix
    private var previousGradient: Matrix
    private let scratch: Matrix
    private var sourceNormalization: RowNormalization?
    private var targetNormalization: RowNormalization?

    /// Coordinates of the output that the encoder leaves at zero.
    static let reservedCoordinates = 2

    /// - Parameter isSingle: whether the heads of the source rows are also those of the target rows, which are then equal.
    init(nodeCount: Int, dimension: Int, layers count: Int, isSingle: Bool = false, seed: UInt64) {
        var generator = SeededGenerator(seed: seed, stream: 0)
        func nodes() -> Matrix { Matrix(rows: nodeCount, columns: dimension) }
        let input = nodes()
        for index in 0..<input.count { input.elements[index] = 0.1 * generator.normal() }
        table = Parameter(input)
        layers = (0..<count).map { _ in Layer(nodeCount: nodeCount, dimension: dimension, using: &generator) }
        let learned = dimension - Self.reservedCoordinates
        let sourceHeads: [Parameter] = (0...count).map { _ in .square(dimension, columns: learned, using: &generator) }
        self.sourceHeads = sourceHeads
        targetHeads =
            isSingle
            ? sourceHeads : (0...count).map { _ in .square(dimension, columns: learned, using: &generator) }
        self.isSingle = isSingle
        hidden = (0...count).map { _ in nodes() }
        gradient = nodes()
        previousGradient = nodes()
        scratch = nodes()
        source = nodes()
        target = nodes()
        parameters = [table] + layers.flatMap(\.parameters) + sourceHeads + (isSingle ? [] : targetHeads)
    }

    /// Computes ``source`` and ``target``.
    func forward(_ messages: MessagePassing, dropout: Dropout?) {
        hidden[0].elements.update(from: table.value.elements, count: table.value.count)
        dropout?.apply(hidden[0])
        for (index, layer) in layers.enumerated() {
            layer.forward(hidden[index], messages, into: hidden[index + 1])
        }
        sourceNormalization = project(sourceHeads, into: source)
        targetNormalization = project(targetHeads, into: target)
    }

    private func project(_ heads: [Parameter], into output: Matrix) -> RowNormalization {
        for (index, head) in heads.enumerated() {
            multiply(hidden[index], head.value, beta: index == 0 ? 0 : 1, into: output)
        }
        return RowNormalization(output)
    }

    /// Turns the gradients of the last forward pass's outputs, which it overwrites, into those of all parameters.
    func backward(
        source sourceGradient: Matrix, target targetGradient: Matrix, _ messages: MessagePassing, _ dropout: Dropout?
    ) {
        sourceNormalization?.backward(sourceGradient, normalized: source)
        targetNormalization?.backward(targetGradient, normalized: target)
        for index in hidden.indices.reversed() {
            let isLast = index == hidden.count - 1
            multiply(hidden[index], transposeA: true, sourceGradient, into: sourceHeads[index].gradient)
            multiply(
                hidden[index], transposeA: true, targetGradient, beta: isSingle ? 1 : 0,
                into: targetHeads[index].gradient)
            multiply(sourceGradient, sourceHeads[index].value, transposeB: true, beta: isLast ? 0 : 1, into: gradient)
            multiply(targetGradient, targetHeads[index].value, transposeB: true, beta: 1, into: gradient)
            guard index > 0 else { break }
            layers[index - 1].backward(
                gradient, input: hidden[index - 1], output: hidden[index], messages, scratch: scratch,
                into: previousGradient)
            swap(&gradient, &previousGradient)
        }
        dropout?.apply(gradient)
        table.gradient.elements.update(from: gradient.elements, count: gradient.count)
    }
}

/// One round of message passing.
private final class Layer {
    let parameters: [Parameter]

    private let fromSelf: Parameter
    private let fromOut: Parameter
    private let fromIn: Parameter
    /// The summed messages of the last forward pass.
    private let outMessages: Matrix
    private let inMessages: Matrix
    private var normalization: RowNormalization?

    init(nodeCount: Int, dimension: Int, using generator: inout SeededGenerator) {
        fromSelf = .square(dimension, columns: dimension, using: &generator)
        fromOut = .square(dimension, columns: dimension, using: &generator)
        fromIn = .square(dimension, columns: dimension, using: &generator)
        outMessages = Matrix(rows: nodeCount, columns: dimension)
        inMessages = Matrix(rows: nodeCount, columns: dimension)
        parameters = [fromSelf, fromOut, fromIn]
    }

    func forward(_ input: Matrix, _ messages: MessagePassing, into output: Matrix) {
        messages.out.multiply(input, into: outMessages)
        messages.in.multiply(input, into: inMessages)
        multiply(input, fromSelf.value, into: output)
        multiply(outMessages, fromOut.value, beta: 1, into: output)
        multiply(inMessages, fromIn.value, beta: 1, into: output)
        normalization = RowNormalization(output)
    }

    /// Overwrites `gradient`, that of the output, on the way to that of the input.
    func backward(
        _ gradient: Matrix, input: Matrix, output: Matrix, _ messages: MessagePassing, scratch: Matrix,
        into inputGradient: Matrix
    ) {
        normalization?.backward(gradient, normalized: output)
        multiply(input, transposeA: true, gradient, into: fromSelf.gradient)
        multiply(outMessages, transposeA: true, gradient, into: fromOut.gradient)
        multiply(inMessages, transposeA: true, gradient, into: fromIn.gradient)
        multiply(gradient, fromSelf.value, transposeB: true, into: inputGradient)
        multiply(gradient, fromOut.value, transposeB: true, into: scratch)
        messages.outTransposed.multiply(scratch, adding: true, into: inputGradient)
        multiply(gradient, fromIn.value, transposeB: true, into: scratch)
        messages.inTransposed.multiply(scratch, adding: true, into: inputGradient)
    }
}

extension Parameter {
    /// Half the identity plus a little noise in the first `columns` columns; zeros, which stay zeros, beyond.
    fileprivate static func square(
        _ size: Int, columns: Int, using generator: inout SeededGenerator
    ) -> Parameter {
        let value = Matrix(rows: size, columns: size)
        for row in 0..<size {
            for column in 0..<columns {
                value[row, column] = 0.02 * generator.normal() + (row == column ? 0.5 : 0)
            }
        }
        return Parameter(value)
    }
}
