internal import Foundation
internal import Graph
internal import Learning
internal import LinearAlgebra

/// The model in training: its parameters, its optimizer, and one step after the other.
final class TrainingRun {
    let encoder: DualEncoder
    private let train: EdgeGraphs
    private let options: TrainingOptions
    private let parameters: TrainingParameters
    private let existence: Term
    /// Source rows of what is viewed together are alike, and so are target rows.
    private let similarity: [Term]
    /// Its state, beside the parameters', is the number of its steps.
    var adam = Adam()

    /// The temperature at the start.
    private static let initialTemperature: Float = 10
    /// Draws whose messages are averaged when a sampled neighbourhood makes vectors to be used.
    private static let inferenceDraws = 8

    /// - Parameters:
    ///   - train: what supervises and passes messages.
    init(
        _ train: EdgeGraphs, features: InputFeatures?, options: TrainingOptions, parameters: TrainingParameters
    ) {
        self.train = train
        self.options = options
        self.parameters = parameters
        let nodes = train.purchases.nodeCount
        let hasViews = train.views.edgeCount > 0
        encoder = DualEncoder(
            nodeCount: nodes, dimension: parameters.dimension, layers: parameters.layers, kinds: hasViews ? 4 : 2,
            features: features, isSingle: options.isSingle, seed: options.seed)
        let sourceGradient = Matrix(rows: nodes, columns: parameters.dimension)
        let targetGradient = Matrix(rows: nodes, columns: parameters.dimension)
        func term(
            _ graph: DirectedGraph, _ source: (Matrix, Matrix), _ target: (Matrix, Matrix), _ weight: Float,
            direction: Float, isBiased: Bool
        ) -> Term {
            let temperature = Matrix(rows: 1, columns: 1)
            temperature[0, 0] = log(options.temperature ?? Self.initialTemperature)
            let scorer = PairScorer(
                source: source.0, target: target.0, sourceGradient: source.1, targetGradient: target.1,
                bias: Parameter(Matrix(rows: nodes, columns: 1)), logTemperature: Parameter(temperature))
            return Term(
                graph: graph, scorer: scorer, weight: weight, directionWeight: direction, isBiased: isBiased,
                hasFixedTemperature: options.temperature != nil,
                negatives: NegativeSampler(
                    graph, count: parameters.negatives, exponent: Double(parameters.negativesExponent)))
        }
        let source = (encoder.source, sourceGradient)
        let target = (encoder.target, targetGradient)
        existence = term(
            train.purchases, source, target, 1, direction: parameters.directionWeight, isBiased: true)
        similarity =
            hasViews && parameters.similarityWeight > 0
            ? [source, target].map {
                term(train.views, $0, $0, parameters.similarityWeight, direction: 0, isBiased: false)
            } : []
    }

    /// All that is learned.
    var learned: [Parameter] {
        encoder.parameters + ([existence] + similarity).flatMap(\.parameters)
    }

    // MARK: Steps

    /// Supervises one share of the edges, which pass no messages meanwhile; returns the loss.
    func step(_ step: Int, ofEpoch epoch: Int, rate: Float) -> Float {
        let steps = parameters.stepsPerEpoch
        var folds = SeededGenerator(seed: options.seed, stream: Stream.folds.rawValue + UInt64(epoch) << 8)
        var generator = SeededGenerator(
            seed: options.seed, stream: Stream.steps.rawValue + UInt64(epoch * steps + step) << 8)
        let fold = EdgeFold(seed: folds.next(), count: steps, number: step)
        let terms = ([existence] + similarity).map { ($0, $0.pairs(fold)) }.filter { $0.1.totalWeight != 0 }
        guard !terms.isEmpty else { return 0 }
        let messageSeed = generator.next()
        let dropout = Dropout(probability: parameters.dropout, seed: generator.next())
        let rowSeed = generator.next()
        let noise = InputNoise(
            dropout: dropout, rowDropout: Dropout(probability: parameters.rowDropout, seed: rowSeed))
        // Half of the nodes that do without their learned row do without neighbours, too: the same draw decides.
        let silenced = Dropout(probability: parameters.rowDropout / 2, seed: rowSeed)
        let messages = MessagePassing(
            train, sampler: options.sampler, masked: fold, silenced: parameters.rowDropout > 0 ? silenced : nil,
            seed: messageSeed)
        encoder.forward(messages, noise: noise)
        for term in [existence] + similarity { term.scorer.clearGradients() }
        var loss: Float = 0
        for (term, pairs) in terms { loss += term.backward(pairs, using: &generator) }
        encoder.backward(
            source: existence.scorer.sourceGradient, target: existence.scorer.targetGradient, messages, noise)
        adam.update(learned, rate: rate)
        return loss
    }

    /// One term of the loss: pairs of one graph by one scorer.
    private struct Term {
        let graph: DirectedGraph
        let scorer: PairScorer
        let weight: Float
        let directionWeight: Float
        let isBiased: Bool
        let hasFixedTemperature: Bool
        let negatives: NegativeSampler

        /// A bias would only explain away what the rows are to say where it is not published.
        var parameters: [Parameter] {
            (isBiased ? [scorer.bias] : []) + (hasFixedTemperature ? [] : [scorer.logTemperature])
        }

        func pairs(_ fold: EdgeFold) -> StepPairs { StepPairs(graph, fold, directionWeight: directionWeight) }

        func backward(_ pairs: StepPairs, using generator: inout SeededGenerator) -> Float {
            let known = SparseMatrix(
                columns: graph.nodeCount, offsets: graph.outOffsets, indices: graph.outTargets, values: graph.weights)
            let softmax = SampledSoftmax(
                negatives: negatives.draw(using: &generator), scorer: scorer, known: known,
                total: pairs.totalWeight / weight)
            var loss: Float = 0
            pairs.forEachBatch { loss += softmax.backward($0) }
            return loss
        }
    }

    // MARK: Results

    /// The vectors by the messages of the given graphs, in the published form: source (temperature * s, 1, offset),
    /// target (t, bias, 1). They lie in the encoder's own rows until its next pass.
    func vectors(by graphs: EdgeGraphs, offset: DirectionOffset?) -> (source: Matrix, target: Matrix) {
        let messages = MessagePassing(
            graphs, sampler: options.sampler, draws: Self.inferenceDraws,
            seed: options.seed &+ Stream.inference.rawValue)
        encoder.forward(messages, noise: nil)
        let (source, target) = (encoder.source, encoder.target)
        let temperature = self.temperature
        let last = parameters.dimension - DualEncoder.reservedCoordinates
        for row in 0..<source.rows {
            for column in 0..<last { source[row, column] *= temperature }
            source[row, last] = 1
            source[row, last + 1] = offset?.value(row, in: graphs.purchases) ?? 0
            target[row, last] = existence.scorer.bias.value[row, 0]
            target[row, last + 1] = 1
        }
        return (source, target)
    }

    /// What the scores are multiplied by.
    var temperature: Float { exp(existence.scorer.logTemperature.value[0, 0]) }

    /// Keeps the uses of one seed apart.
    private enum Stream: UInt64 {
        case folds = 1
        case steps
        case inference
    }
}
