internal import Foundation
public import Graph
internal import Learning
internal import LinearAlgebra

/// Learns dual embeddings of a directed graph.
///
/// The setting and the loss on directions follow DAEMON (ECML-PKDD 2022) and BLADE (WSDM 2023); the encoder without
/// ReLU, the sampled softmax with a learned temperature and the target biases are our choices, made by measurement.
public final class DualEmbeddingTrainer {
    private let graphs: EdgeGraphs
    private let products: ProductFeatures?
    private let features: InputFeatures?
    private let options: TrainingOptions
    private let parameters: TrainingParameters
    /// What the first training learns from.
    private let train: EdgeGraphs
    private let heldOut: DirectedGraph
    /// Those of the held-out edges by which epochs are compared.
    private let validSample: DirectedGraph

    /// Held-out edges enough to compare epochs by; ranking more would only take time.
    private static let mostValidEdges = 4000

    /// Prepares a training on the edges alone.
    ///
    /// - Throws: ``TrainingError`` when an option is out of its range.
    public convenience init(_ graph: DirectedGraph, options: TrainingOptions) throws(TrainingError) {
        try self.init(
            EdgeGraphs(purchases: graph, views: DirectedGraph(ids: graph.ids, edges: [])), options: options)
    }

    /// Prepares a training.
    ///
    /// - Parameter products: what is known of the products, over the same graphs; nil where nothing is.
    /// - Throws: ``TrainingError`` when an option is out of its range.
    public init(
        _ graphs: EdgeGraphs, products: ProductFeatures? = nil, options: TrainingOptions
    ) throws(TrainingError) {
        parameters = try TrainingParameters(options, graphs: graphs, hasFeatures: products != nil)
        let graph = graphs.purchases
        guard graph.edgeCount > 0 else {
            throw TrainingError("the graph has no edges; give a graph with at least one")
        }
        self.graphs = graphs
        self.options = options
        self.products = products
        features = products?.input
        let split = EdgeSplit(graph, fraction: parameters.validFraction, seed: options.seed)
        train = EdgeGraphs(purchases: split.train, views: graphs.views)
        heldOut = DirectedGraph(ids: graph.ids, edges: split.heldOut)
        let stride = split.heldOut.count / Self.mostValidEdges + 1
        validSample = DirectedGraph(
            ids: graph.ids, edges: split.heldOut.enumerated().filter { $0.offset % stride == 0 }.map(\.element))
    }

    /// Trains and returns the vectors of the last epoch, unless an earlier one ranked the held-out edges better by more
    /// than a standard error. Where ``TrainingParameters/isRefitted``, as many epochs are then trained on all edges.
    ///
    /// - Parameters:
    ///   - checkpoint: where to leave the state after every epoch, and to go on from.
    ///   - progress: called after every step, on this thread.
    /// - Throws: ``TrainingError`` as soon as the loss or, at the end, a vector is not finite, and where a checkpoint
    ///   cannot be written or is another training's.
    public func run(
        checkpoint: TrainingCheckpoint? = nil, progress: (TrainingProgress) -> Void = { _ in }
    ) throws(TrainingError) -> DualEmbedding {
        let identity = TrainingCheckpoint.Identity(data: dataHash, parameters: parameters)
        let resumed = try checkpoint?.state(of: identity)
        var state =
            resumed
            ?? TrainingCheckpoint.State(
                identity: identity,
                report: TrainingReport(
                    parameters: parameters, graph: GraphCounts(graphs.purchases), losses: [], valid: [],
                    publishedEpoch: parameters.epochs))
        let pace = Pace(epochsBefore: state.epochs + (state.isRefitting ? parameters.epochs : 0))
        var run = makeRun(on: state.isRefitting ? graphs : train)
        var published: [Matrix]?
        if resumed != nil {
            if state.hasPublished { published = run.learned.map { $0.value.copy() } }
            try checkpoint?.read(Self.matrices(run, published))
            run.adam = Adam(step: state.adamSteps)
        }
        if !state.isRefitting {
            try choose(run, &published, &state, pace, checkpoint, progress)
            fitToHeldOut(run, &state)
            published = nil
        }
        if parameters.isRefitted {
            if !state.isRefitting {
                (state.isRefitting, state.epochs, state.hasPublished) = (true, 0, false)
                run = makeRun(on: graphs)
            }
            try refit(run, &state, pace, checkpoint, progress)
        }
        return try embedding(run, state)
    }

    private func makeRun(on edges: EdgeGraphs) -> TrainingRun {
        TrainingRun(edges, features: features, options: options, parameters: parameters)
    }

    /// Trains all epochs without the held-out edges, and puts the parameters of the published one in their place.
    private func choose(
        _ run: TrainingRun, _ published: inout [Matrix]?, _ state: inout TrainingCheckpoint.State, _ pace: Pace,
        _ checkpoint: TrainingCheckpoint?, _ progress: (TrainingProgress) -> Void
    ) throws(TrainingError) {
        let all = parameters.epochs * (parameters.isRefitted ? 2 : 1)
        while state.epochs < parameters.epochs {
            let loss = try runEpoch(
                run, state.epochs, of: parameters.epochs, done: state.epochs, all: all, pace, progress)
            state.report.losses.append(loss)
            state.epochs += 1
            if let quality = validate(run) {
                state.report.valid.append(quality.metrics)
                state.bestMean = max(state.bestMean, quality.mean)
                if quality.mean + quality.standardError >= state.bestMean {
                    state.report.publishedEpoch = state.epochs
                    Self.keep(run.learned, in: &published)
                }
            }
            state.hasPublished = published != nil
            try save(run, published, &state, checkpoint)
        }
        for (copy, parameter) in zip(published ?? [], run.learned) { parameter.value.update(from: copy) }
    }

    private static func keep(_ learned: [Parameter], in published: inout [Matrix]?) {
        guard let published else { return published = learned.map { $0.value.copy() } }
        for (copy, parameter) in zip(published, learned) { copy.update(from: parameter.value) }
    }

    /// Trains as many epochs as were best on all edges.
    private func refit(
        _ run: TrainingRun, _ state: inout TrainingCheckpoint.State, _ pace: Pace, _ checkpoint: TrainingCheckpoint?,
        _ progress: (TrainingProgress) -> Void
    ) throws(TrainingError) {
        let epochs = state.report.publishedEpoch
        while state.epochs < epochs {
            _ = try runEpoch(
                run, state.epochs, of: epochs, done: parameters.epochs + state.epochs,
                all: parameters.epochs + epochs, pace, progress)
            state.epochs += 1
            try save(run, nil, &state, checkpoint)
        }
    }

    private func save(
        _ run: TrainingRun, _ published: [Matrix]?, _ state: inout TrainingCheckpoint.State,
        _ checkpoint: TrainingCheckpoint?
    ) throws(TrainingError) {
        state.adamSteps = run.adam.step
        try checkpoint?.write(state, Self.matrices(run, published))
    }

    private static func matrices(_ run: TrainingRun, _ published: [Matrix]?) -> [Matrix] {
        run.learned.flatMap(\.state) + (published ?? [])
    }

    /// Tells trainings of different data apart.
    private var dataHash: UInt64 {
        var hash = DataHash()
        for graph in [graphs.purchases, graphs.views] {
            hash.add(graph.outOffsets)
            hash.add(graph.outTargets)
            hash.add(graph.weights.lazy.map(\.bitPattern))
        }
        hash.add(graphs.purchases.ids.bytes)
        hash.add([options.isSingle ? 1 : 0, options.temperature?.bitPattern ?? 0])
        if let products {
            hash.add(products.offsets)
            hash.add(products.indices)
            hash.add(products.values.lazy.map(\.bitPattern))
            for name in products.names { hash.add(name.utf8) }
        }
        return hash.value
    }

    private func embedding(
        _ run: TrainingRun, _ state: TrainingCheckpoint.State
    ) throws(TrainingError) -> DualEmbedding {
        let (source, target) = run.vectors(by: graphs, offset: state.offset)
        for matrix in [source, target] where !(0..<matrix.count).allSatisfy({ matrix.elements[$0].isFinite }) {
            throw Self.diverged("the vectors after epoch \(state.report.publishedEpoch) are")
        }
        return DualEmbedding(
            ids: graphs.purchases.ids, source: source, target: target,
            ranker: state.ranker.map { HybridRanker($0, graph: graphs.purchases) }, report: state.report,
            encoder: EncoderTables(run, products, offset: state.offset))
    }

    /// How long the rest will take.
    private struct Pace {
        /// Epochs done before this process.
        let epochsBefore: Int
        let start = ContinuousClock.now
    }

    /// Trains one epoch; returns its mean loss.
    ///
    /// - Parameters:
    ///   - done: epochs done, also by an earlier training.
    ///   - all: epochs in all.
    private func runEpoch(
        _ run: TrainingRun, _ epoch: Int, of epochs: Int, done: Int, all: Int, _ pace: Pace,
        _ progress: (TrainingProgress) -> Void
    ) throws(TrainingError) -> Float {
        let steps = parameters.stepsPerEpoch
        var sum: Float = 0
        for step in 0..<steps {
            let share = Float(epoch * steps + step) / Float(epochs * steps)
            let rate = parameters.learningRate * (1 - share)
            let loss = run.step(step, ofEpoch: epoch, rate: rate)
            sum += loss
            // The sum, too, is reported.
            guard sum.isFinite else { throw Self.diverged("the loss of epoch \(epoch + 1), step \(step + 1) is") }
            let stepsDone = done * steps + step + 1
            let elapsed = pace.start.duration(to: .now).seconds
            progress(
                TrainingProgress(
                    epoch: done + 1, epochs: all, step: step + 1, steps: steps, loss: loss, learningRate: rate,
                    secondsElapsed: elapsed,
                    secondsLeft: elapsed / Double(stepsDone - pace.epochsBefore * steps)
                        * Double(all * steps - stepsDone)))
        }
        return sum / Float(steps)
    }

    private static func diverged(_ what: String) -> TrainingError {
        TrainingError(
            "the training diverges: \(what) not finite; lower the learning-rate or the direction-weight, or give "
                + "weights that differ less")
    }

    // MARK: Held-out edges

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
    private func validate(_ run: TrainingRun) -> Quality? {
        guard heldOut.edgeCount > 0 else { return nil }
        let (source, target) = run.vectors(by: train, offset: nil)
        let scores = HeldOutScores(
            validSample, train: train.purchases, scorer: InnerProductScorer(source: source, target: target),
            withReverse: false)
        return Quality(ranks: scores.ranks)
    }

    /// Fits what held-out edges decide beside the epoch: the direction offset and the ranker of lists.
    private func fitToHeldOut(_ run: TrainingRun, _ state: inout TrainingCheckpoint.State) {
        guard heldOut.edgeCount > 0 else { return }
        let (source, target) = run.vectors(by: train, offset: nil)
        func score(_ u: UInt32, _ v: UInt32) -> Float {
            Rows.dot(source[row: Int(u)], target[row: Int(v)], source.columns)
        }
        let leads = heldOut.edges.map { score($0.source, $0.target) - score($0.target, $0.source) }
        state.offset = DirectionOffset(leads: leads, of: heldOut, train: train.purchases)
        let hybrid = HybridFit(
            heldOut: heldOut, train: train.purchases, source: source, target: target, seed: options.seed)
        state.ranker = hybrid.weights
        state.report.ranker = hybrid.report
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
