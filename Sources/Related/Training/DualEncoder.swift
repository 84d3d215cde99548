internal import Learning
internal import LinearAlgebra

/// Turns an input row for each node into a source and a target row by message passing.
///
///     h_0 = dropout(input)
///     h_l = normalise(h_(l-1) W_self + sum over kinds of neighbours: messages(h_(l-1)) W_kind)
///     s = normalise(sum_l h_l S_l),  t = normalise(sum_l h_l T_l)
///
/// The last two coordinates of s and t stay zero: they are kept for the biases of the published vectors.
final class DualEncoder: @unchecked Sendable {
    /// Source rows of the last forward pass (nodes x dimension).
    let source: Matrix
    /// Target rows of the last forward pass (nodes x dimension).
    let target: Matrix
    /// All that is learned.
    let parameters: [Parameter]
    /// What the rows of the nodes are made of.
    let input: InputRows
    /// The matrices of the rounds of message passing.
    let layers: [Layer]
    /// The matrices from each layer's rows to the source rows.
    let sourceHeads: [Parameter]
    /// The matrices from each layer's rows to the target rows.
    let targetHeads: [Parameter]
    private let isSingle: Bool
    /// h_0 ... h_L of the last forward pass.
    let hidden: [Matrix]

    /// One gradient for two neighbouring layers and room for one product.
    private var gradient: Matrix
    private var previousGradient: Matrix
    private let scratch: Matrix
    private var sourceNormalization: RowNormalization?
    private var targetNormalization: RowNormalization?

    /// Coordinates of the output that the encoder leaves at zero.
    static let reservedCoordinates = 2

    /// - Parameters:
    ///   - kinds: the number of operators of each ``MessagePassing``.
    ///   - features: what is known of the nodes; nil where nothing is.
    ///   - isSingle: whether the heads of the source rows are also those of the target rows, which are then equal.
    init(
        nodeCount: Int, dimension: Int, layers count: Int, kinds: Int = 2, features: InputFeatures? = nil,
        isSingle: Bool = false, seed: UInt64
    ) {
        var generator = SeededGenerator(seed: seed, stream: 0)
        func nodes() -> Matrix { Matrix(rows: nodeCount, columns: dimension) }
        input = InputRows(nodeCount: nodeCount, dimension: dimension, features: features, using: &generator)
        layers = (0..<count).map { _ in Layer(dimension: dimension, kinds: kinds, using: &generator) }
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
        parameters = input.parameters + layers.flatMap(\.parameters) + sourceHeads + (isSingle ? [] : targetHeads)
    }

    /// Computes ``source`` and ``target``.
    func forward(_ messages: MessagePassing, noise: InputNoise?) {
        input.forward(noise, into: hidden[0])
        for (index, layer) in layers.enumerated() {
            layer.forward(hidden[index], messages, scratch: scratch, into: hidden[index + 1])
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
        source sourceGradient: Matrix, target targetGradient: Matrix, _ messages: MessagePassing, _ noise: InputNoise?
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
        input.backward(gradient, noise)
    }
}

/// One round of message passing.
final class Layer {
    /// From a node's own row.
    let fromSelf: Parameter
    /// From the messages of each kind of neighbour.
    let fromMessages: [Parameter]
    private var normalization: RowNormalization?

    var parameters: [Parameter] { [fromSelf] + fromMessages }

    init(dimension: Int, kinds: Int, using generator: inout SeededGenerator) {
        fromSelf = .square(dimension, columns: dimension, using: &generator)
        fromMessages = (0..<kinds).map { _ in .square(dimension, columns: dimension, using: &generator) }
    }

    func forward(_ input: Matrix, _ messages: MessagePassing, scratch: Matrix, into output: Matrix) {
        multiply(input, fromSelf.value, into: output)
        for (kind, matrix) in zip(messages.operators, fromMessages) {
            kind.pass(input, into: scratch)
            multiply(scratch, matrix.value, beta: 1, into: output)
        }
        normalization = RowNormalization(output)
    }

    /// Overwrites `gradient`, that of the output, on the way to that of the input.
    ///
    /// With messages M = P H, both gradients need the gradient passed back, B = transpose(P) G alone: that of the matrix
    /// is transpose(H) B, that of the input B transpose(W). So no messages need to be kept.
    func backward(
        _ gradient: Matrix, input: Matrix, output: Matrix, _ messages: MessagePassing, scratch: Matrix,
        into inputGradient: Matrix
    ) {
        normalization?.backward(gradient, normalized: output)
        multiply(input, transposeA: true, gradient, into: fromSelf.gradient)
        multiply(gradient, fromSelf.value, transposeB: true, into: inputGradient)
        for (kind, matrix) in zip(messages.operators, fromMessages) {
            kind.passBack(gradient, into: scratch)
            multiply(input, transposeA: true, scratch, into: matrix.gradient)
            multiply(scratch, matrix.value, transposeB: true, beta: 1, into: inputGradient)
        }
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
