internal import Foundation
public import Graph
internal import Learning
internal import LinearAlgebra

/// Learns dual embeddings of a directed graph.
///
/// The setting and the loss on directions follow DAEMON (ECML-PKDD 2022) and BLADE (WSDM 2023); the encoder without
/// ReLU, the sampled softmax with a learned temperature and the target biases are our choices, made by measurement.
public final class DualEmbeddingTrainer {
    private let graph: DirectedGraph
    private let options: TrainingOptions
    private let parameters: TrainingParameters
    /// What supervises and passes messages during training.
    private let train: DirectedGraph
    private let heldOut: DirectedGraph
    /// Those of the held-out edges by which epochs are compared.
    private let validSample: DirectedGraph
    private let isOneWay: [Bool]
    private let known: SparseMatrix
    private let meanWeight: Float
    private let encoder: DualEncoder
    private let scorer: PairScorer
    private let negatives: NegativeSampler
    private var adam = Adam()

    /// The temperature at the start.
    private static let initialTemperature: Float = 10
    /// Held-out edges enough to compare epochs by; ranking more would only take time.
    private static let mostValidEdges = 4000
    /// Draws whose messages are averaged when a sampled neighbourhood makes the published vectors.
    private static let inferenceDraws = 8

    /// Prepares a training.
    ///
    /// - Throws: ``TrainingError`` when an option is out of its range.
    public init(_ graph: DirectedGraph, options: TrainingOptions) throws(TrainingError) {
        parameters = try TrainingParameters(options, graph: graph)
        guard graph.edgeCount > 0 else {
            throw TrainingError("the graph has no edges; give a graph with at least one")
        }
        self.graph = graph
        self.options = options
        let split = EdgeSplit(graph, fraction: parameters.validFraction, seed: options.seed)
        train = split.train
        heldOut = DirectedGraph(ids: graph.ids, edges: split.heldOut)
        let stride = split.heldOut.count / Self.mostValidEdges + 1
        validSample = DirectedGraph(
            ids: graph.ids, edges: split.heldOut.enumerated().filter { $0.offset % stride == 0 }.map(\.element))
        isOneWay = train.oneWay
        known = SparseMatrix(
            columns: train.nodeCount, offsets: train.outOffsets, indices: train.outTargets, values: train.weights)
        meanWeight = train.meanWeight
        encoder = DualEncoder(
            nodeCount: graph.nodeCount, dimension: parameters.dimension, layers: parameters.layers,
            isSingle: options.isSingle, seed: options.seed)
        negatives = NegativeSampler(train, count: parameters.negatives, exponent: Double(parameters.negativesExponent))
        let temperature = Matrix(rows: 1, columns: 1)
        temperature[0, 0] = log(Self.initialTemperature)
        scorer = PairScorer(
            source: encoder.source, target: encoder.target,
            sourceGradient: Matrix(rows: graph.nodeCount, columns: parameters.dimension),
            targetGradient: Matrix(rows: graph.nodeCount, columns: parameters.dimension),
            bias: Parameter(Matrix(rows: graph.nodeCount, columns: 1)), logTemperature: Parameter(temperature))
    }

    /// Trains and returns the vectors of the last epoch, unless an earlier one ranked the held-out edges better by more
    /// than a standard error.
    ///
    /// - Parameter progress: called after every step, on this thread.
    /// - Throws: ``TrainingError`` as soon as the loss or, at the end, a vector is not finite.
    public func run(
        progress: (TrainingProgress) -> Void = { _ in }
    ) throws(TrainingError) -> DualEmbedding {
        let found = try runOnce(progress: progress)
        guard parameters.isRepeatedOnAll, heldOut.edgeCount > 0 else { return found }
        var options = options
        options.validFraction = 0
        options.epochs = found.report.publishedEpoch
        let whole = try DualEmbeddingTrainer(graph, options: options).runOnce(progress: progress)
        // The offset was fitted to held-out edges, and so was the ranker.
        let offset = parameters.dimension - 1
        for row in 0..<graph.nodeCount { whole.source[row, offset] = found.source[row, offset] }
        return DualEmbedding(
            ids: graph.ids, source: whole.source, target: whole.target, ranker: found.ranker, report: found.report)
    }

    private func runOnce(progress: (TrainingProgress) -> Void) throws(TrainingError) -> DualEmbedding {
        let start = ContinuousClock.now
        let learned = encoder.parameters + [scorer.bias, scorer.logTemperature]
        var report = TrainingReport(
            parameters: parameters, graph: GraphCounts(graph), losses: [], valid: [],
            publishedEpoch: parameters.epochs)
        var published: (values: [Matrix], epoch: Int)?
        var bestMean = 0.0
        for epoch in 0..<parameters.epochs {
            report.losses.append(try runEpoch(epoch, learned: learned, start: start, progress: progress))
            guard let quality = validate() else { continue }
            report.valid.append(quality.metrics)
            bestMean = max(bestMean, quality.mean)
            if quality.mean + quality.standardError >= bestMean {
                published = (learned.map { $0.value.copy() }, epoch + 1)
            }
        }
        if let published {
            report.publishedEpoch = published.epoch
            for (parameter, value) in zip(learned, published.values) {
                parameter.value.elements.update(from: value.elements, count: value.count)
            }
        }
        let (source, target, hybrid) = publish()
        report.ranker = hybrid?.report
        for matrix in [source, target] where !(0..<matrix.count).allSatisfy({ matrix.elements[$0].isFinite }) {
            throw Self.diverged("the vectors after epoch \(report.publishedEpoch) are")
        }
        return DualEmbedding(
            ids: graph.ids, source: source, target: target, ranker: hybrid?.weights.map { HybridRanker($0, graph: graph) }, report: report)
    }

    // MARK: Steps

    private func runEpoch(
        _ epoch: Int, learned: [Parameter], start: ContinuousClock.Instant, progress: (TrainingProgress) -> Void
    ) throws(TrainingError) -> Float {
        let steps = parameters.stepsPerEpoch
        let fold = folds(epoch: epoch)
        var sum: Float = 0
        for step in 0..<steps {
            let done = epoch * steps + step
            let all = parameters.epochs * steps
            let rate = parameters.learningRate * Float(all - done) / Float(all)
            let loss = runStep(
                number: done, isSupervised: fold.map { $0 == UInt32(step) }, learned: learned, rate: rate)
            sum += loss
            // The sum, too, is reported.
            guard sum.isFinite else { throw Self.diverged("the loss of epoch \(epoch + 1), step \(step + 1) is") }
            let elapsed = start.duration(to: .now).seconds
            progress(
                TrainingProgress(
                    epoch: epoch + 1, epochs: parameters.epochs, step: step + 1, steps: steps, loss: loss,
                    learningRate: rate, secondsElapsed: elapsed,
                    secondsLeft: elapsed / Double(done + 1) * Double(all - done - 1)))
        }
        return sum / Float(steps)
    }

    private static func diverged(_ what: String) -> TrainingError {
        TrainingError(
            "the training diverges: \(what) not finite; lower the learning-rate or the direction-weight, or give "
                + "weights that differ less")
    }

    /// The step of the epoch that supervises each edge.
    private func folds(epoch: Int) -> [UInt32] {
        var generator = SeededGenerator(seed: options.seed, stream: Stream.folds.rawValue + UInt64(epoch) << 8)
        var order = Array(0..<train.edgeCount)
        order.shuffle(using: &generator)
        var folds = [UInt32](repeating: 0, count: train.edgeCount)
        for (place, edge) in order.enumerated() { folds[edge] = UInt32(place % parameters.stepsPerEpoch) }
        return folds
    }

    private func runStep(number: Int, isSupervised: [Bool], learned: [Parameter], rate: Float) -> Float {
        var generator = SeededGenerator(seed: options.seed, stream: Stream.steps.rawValue + UInt64(number) << 8)
        let batch = batch(isSupervised)
        guard !batch.targets.isEmpty else { return 0 }
        let messages = MessagePassing(
            train, sampler: options.sampler, isMasked: isSupervised, seed: generator.next())
        let dropout = Dropout(probability: parameters.dropout, seed: generator.next())
        encoder.forward(messages, dropout: dropout)
        let loss = SampledSoftmax(batch, negatives: negatives.draw(using: &generator), scorer: scorer, known: known)
            .backward()
        encoder.backward(source: scorer.sourceGradient, target: scorer.targetGradient, messages, dropout)
        adam.update(learned, rate: rate)
        return loss
    }

    private func batch(_ isSupervised: [Bool]) -> PairBatch {
        var batch = PairBatch()
        for row in 0..<train.nodeCount {
            for edge in train.outRange(row) where isSupervised[edge] {
                let weight = train.weights[edge] / meanWeight
                batch.append(
                    source: UInt32(row), target: train.outTargets[edge], weight: weight,
                    directionWeight: isOneWay[edge] ? weight * parameters.directionWeight : 0)
            }
        }
        return batch
    }

    // MARK: Results

    /// How well held-out edges are ranked: the mean of 1 / log2(1 + rank), which scatters less than that of 1 / rank.
    private struct Quality {
        let mean: Double
        let standardError: Double
        let metrics: [String: Double]

        init(ranks: [Float]) {
            let gains = ranks.map { 1 / log2(1 + Double($0)) }
            let count = Double(gains.count)
            let mean = gains.reduce(0, +) / count
            let variance = gains.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
            self.mean = mean
            standardError = (variance / count).squareRoot()
            metrics = Metric.ranking(ranks).merging(["ndcg": mean]) { $1 }
        }
    }

    /// The quality on held-out edges, or nil where there are none.
    private func validate() -> Quality? {
        guard heldOut.edgeCount > 0 else { return nil }
        encoder.forward(inferenceMessages(train), dropout: nil)
        let (source, target) = folded(offset: nil)
        let scores = HeldOutScores(
            validSample, train: train, scorer: InnerProductScorer(source: source, target: target), withReverse: false)
        return Quality(ranks: scores.ranks)
    }

    private func inferenceMessages(_ graph: DirectedGraph) -> MessagePassing {
        MessagePassing(
            graph, sampler: options.sampler, draws: Self.inferenceDraws, seed: options.seed &+ Stream.inference.rawValue
        )
    }

    /// The vectors by the messages of the whole graph, with the direction offset and the ranker that held-out edges ask
    /// for.
    private func publish() -> (source: Matrix, target: Matrix, hybrid: HybridFit?) {
        var offset: DirectionOffset?
        var hybrid: HybridFit?
        if heldOut.edgeCount > 0 {
            encoder.forward(inferenceMessages(train), dropout: nil)
            let (source, target) = folded(offset: nil)
            offset = DirectionOffset(
                leads: Self.leads(heldOut, source: source, target: target), of: heldOut, train: train)
            hybrid = HybridFit(
                heldOut: heldOut, train: train, source: source, target: target, seed: options.seed)
        }
        encoder.forward(inferenceMessages(graph), dropout: nil)
        let (source, target) = folded(offset: offset)
        return (source, target, hybrid)
    }

    private static func leads(_ edges: DirectedGraph, source: Matrix, target: Matrix) -> [Float] {
        func score(_ u: UInt32, _ v: UInt32) -> Float {
            let (s, t) = (source[row: Int(u)], target[row: Int(v)])
            return (0..<source.columns).reduce(Float(0)) { $0 + s[$1] * t[$1] }
        }
        return edges.edges.map { score($0.source, $0.target) - score($0.target, $0.source) }
    }

    /// The published form of the encoder's last output: source (temperature * s, 1, a), target (t, b, 1).
    private func folded(offset: DirectionOffset?) -> (source: Matrix, target: Matrix) {
        let source = encoder.source.copy()
        let target = encoder.target.copy()
        let temperature = exp(scorer.logTemperature.value[0, 0])
        let last = parameters.dimension - DualEncoder.reservedCoordinates
        for row in 0..<graph.nodeCount {
            for column in 0..<last { source[row, column] *= temperature }
            source[row, last] = 1
            source[row, last + 1] = offset?.value(row, in: graph) ?? 0
            target[row, last] = scorer.bias.value[row, 0]
            target[row, last + 1] = 1
        }
        return (source, target)
    }

    /// Keeps the uses of one seed apart.
    private enum Stream: UInt64 {
        case folds = 1
        case steps
        case inference
    }
}

/// Draws the shared negatives of a step: rows with probability proportional to (in-degree + 1) to some power, or, where
/// the graph has no more nodes than negatives are wanted, each node once.
struct NegativeSampler {
    private let count: Int
    private let cumulative: [Double]

    init(_ graph: DirectedGraph, count: Int, exponent: Double) {
        self.count = count
        var sum = 0.0
        cumulative = (0..<graph.nodeCount).map { row in
            sum += pow(Double(graph.inDegree(row) + 1), exponent)
            return sum
        }
    }

    func draw(using generator: inout SeededGenerator) -> SharedNegatives {
        let nodes = cumulative.count
        guard nodes > count else {
            return SharedNegatives(
                rows: (0..<UInt32(nodes)).map { $0 }, logExpectedCounts: [Float](repeating: 0, count: nodes))
        }
        let rows = (0..<count).map { _ in row(at: Double(generator.uniform()) * cumulative[nodes - 1]) }
        return SharedNegatives(rows: rows.map { UInt32($0) }, logExpectedCounts: rows.map(logExpectedCount))
    }

    private func logExpectedCount(_ row: Int) -> Float {
        let share = cumulative[row] - (row > 0 ? cumulative[row - 1] : 0)
        return Float(log(Double(count) * share / cumulative[cumulative.count - 1]))
    }

    /// The first row whose running sum exceeds a value.
    private func row(at value: Double) -> Int {
        var low = 0
        var high = cumulative.count - 1
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] > value { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
