public import Graph
internal import Learning

/// Where an evaluation is.
public enum EvaluationProgress: Sendable {
    /// A model begins to be trained.
    case began(EvaluationRun)
    /// It is being trained.
    case training(TrainingProgress)
    /// The embedding under test of this seed is trained.
    case trained(DualEmbedding, seed: UInt64)
    /// A method, by name, is being scored.
    case scoring(String)
}

/// One training of an evaluation.
public struct EvaluationRun: Sendable {
    /// Its number, from 1.
    public let number: Int
    /// How many there are.
    public let count: Int
    /// The seed of its split.
    public let seed: UInt64
    /// The name of the method that is trained.
    public let method: String
    /// The time all runs from this one on will take at the pace so far; nil before the first.
    public let secondsLeft: Double?
}

/// The quality of dual embeddings on held-out edges of a graph, beside that of baselines on the same edges.
///
/// For every test edge all nodes are ranked, without the source itself and its targets in the train graph; a tie counts
/// half. Nothing that is measured sees a test edge. Names of metrics: `hitRate@k` and `mrr@k` (k = 5, 10, 20), `mrr`, and
/// `hitRate@k` on the way to k = 100; the first ones also on groups of test edges, told by a suffix: `.noReverse` where
/// the reverse is not in the train graph, `.degree...` by the degree of the source in the train graph, `.newSource` and
/// `.newTarget` by which end is new; `directionAccuracy` and `directionAUC` on one-way edges; `existenceAUC.uniform` and
/// `existenceAUC.byDegree` (``AbsentPairs``).
public struct Evaluation: Sendable {
    /// What one seed gave.
    public struct Seed: Codable, Sendable {
        /// The seed of the split.
        public let seed: UInt64
        /// How many test edges each group of metrics rests on, by suffix; the whole is `all`, `direction` the one-way ones.
        public let testEdges: [String: Int]
        /// Metrics by method.
        public internal(set) var methods: [String: [String: Double]]
        /// How the embedding was trained.
        public let training: TrainingReport
    }

    /// How the edges were split.
    public let split: SplitRule
    /// The names of the methods in the order of reports: the embedding, its hybrid, baselines, variants.
    public let methods: [String]
    /// Those of them that are variants of the embedding.
    public let variants: [String]
    /// What each seed gave.
    public let seeds: [Seed]

    /// The name of the method under test.
    public static let embedding = "embedding"
    /// The name of the order in which lists of known products are published: see ``HybridRanker``.
    public static let hybrid = "hybrid"

    /// The same for purchases alone.
    public static func run(
        _ graph: DirectedGraph, options: EvaluationOptions, progress: (EvaluationProgress) -> Void = { _ in }
    ) throws(TrainingError) -> Evaluation {
        try run(
            EdgeGraphs(purchases: graph, views: DirectedGraph(ids: graph.ids, edges: [])), options: options,
            progress: progress)
    }

    /// Splits the purchases, trains on one part and measures on the other, once for each seed.
    ///
    /// - Parameters:
    ///   - graphs: purchases and views; of the latter those of new products are left out.
    ///   - products: what is known of the products; those that have features alone are in `graphs`, too.
    /// - Throws: ``TrainingError`` when an option is out of its range, the graph too small to be split or without what the
    ///   split needs, or a training diverges.
    public static func run(
        _ graphs: EdgeGraphs, products: ProductFile? = nil, options: EvaluationOptions,
        progress: (EvaluationProgress) -> Void = { _ in }
    ) throws(TrainingError) -> Evaluation {
        try options.validate()
        guard options.split != .node || options.reveal > 0 || products != nil else {
            throw TrainingError(
                option: "reveal", "must be at least 1 where nothing else is known of new products; give products")
        }
        let variants = options.ablations.flatMap(\.variants)
        var pace = Pace(
            runs: options.seeds * (1 + variants.filter(\.isTrained).count + (options.isSingleTrained ? 1 : 0)))
        var seeds: [Seed] = []
        for number in 0..<options.seeds {
            let options = options.seeded(number)
            var measurement = try Measurement(
                split(graphs.purchases, options), views: graphs.views, products: products, options: options)
            seeds.append(try measurement.run(variants, pace: &pace, progress: progress))
        }
        return Evaluation(
            split: options.split,
            methods: [embedding, hybrid] + options.baselines.map(\.rawValue) + variants.map(\.name),
            variants: variants.map(\.name), seeds: seeds)
    }

    /// The split of the first seed.
    ///
    /// - Throws: ``TrainingError`` when the graph is too small or has no times where the split is by time.
    public static func split(_ graph: DirectedGraph, _ options: EvaluationOptions) throws(TrainingError) -> EdgeSplit {
        let split: EdgeSplit
        switch options.split {
        case .edge: split = EdgeSplit(graph, fraction: options.testFraction, seed: options.seed)
        case .node:
            split = EdgeSplit(graph, nodes: options.testFraction, reveal: options.reveal, seed: options.seed)
        case .time:
            guard let times = graph.times else {
                throw TrainingError(
                    option: "split", "cannot be time: the edges have none; add a column time, or split by edge or node")
            }
            split = EdgeSplit(graph, latest: options.testFraction, times: times)
            guard !split.heldOut.isEmpty else {
                throw TrainingError(
                    option: "split",
                    "cannot be time: more than a test-fraction of the edges have the latest time; give finer times or "
                        + "a larger test-fraction")
            }
        }
        guard !split.heldOut.isEmpty, split.train.edgeCount > 0 else {
            throw TrainingError(
                "of \(graph.edgeCount) edges none is left to \(split.heldOut.isEmpty ? "test on" : "learn from"); "
                    + "give a larger graph or another test-fraction")
        }
        return split
    }
}

extension DirectedGraph {
    /// The same without the edges of some nodes.
    fileprivate func without(_ isLeftOut: [Bool]) -> DirectedGraph {
        DirectedGraph(
            ids: ids, edges: edges.filter { !isLeftOut[Int($0.source)] && !isLeftOut[Int($0.target)] })
    }
}

extension EvaluationOptions {
    fileprivate var isSingleTrained: Bool { baselines.contains(.singleEmbedding) }
}

/// Tells how long the runs that are left will take.
private struct Pace {
    let runs: Int
    private var begun = 0
    private let start = ContinuousClock.now

    init(runs: Int) { self.runs = runs }

    mutating func begin(_ method: String, seed: UInt64) -> EvaluationRun {
        let elapsed = start.duration(to: .now).seconds
        let left = begun > 0 ? elapsed / Double(begun) * Double(runs - begun) : nil
        begun += 1
        return EvaluationRun(number: begun, count: runs, seed: seed, method: method, secondsLeft: left)
    }
}

/// All methods on one split.
private struct Measurement {
    let train: DirectedGraph
    let views: DirectedGraph
    let features: ProductFeatures?
    let heldOut: DirectedGraph
    let groups: EdgeGroups
    let absent: AbsentPairs
    let options: EvaluationOptions
    private var methods: [String: [String: Double]] = [:]

    /// Coordinates of the singular value decomposition among the baselines.
    private static let factors = 64

    init(_ split: EdgeSplit, views: DirectedGraph, products: ProductFile?, options: EvaluationOptions) {
        train = split.train
        self.views = split.isNew.isEmpty ? views : views.without(split.isNew)
        let graphs = EdgeGraphs(purchases: train, views: self.views)
        features = products.map { ProductFeatures($0, graphs: graphs) }
        heldOut = DirectedGraph(ids: train.ids, edges: split.heldOut)
        groups = EdgeGroups(heldOut, train: train, isNew: split.isNew)
        absent = AbsentPairs(train: train, heldOut: heldOut, seed: options.seed)
        self.options = options
    }

    mutating func run(
        _ variants: [Variant], pace: inout Pace,
        progress: (EvaluationProgress) -> Void
    ) throws(TrainingError) -> Evaluation.Seed {
        func trained(_ name: String, _ change: (inout TrainingOptions) -> Void) throws(TrainingError) -> DualEmbedding {
            progress(.began(pace.begin(name, seed: options.seed)))
            var training = options.training
            change(&training)
            let graphs = EdgeGraphs(purchases: train, views: views)
            return try DualEmbeddingTrainer(graphs, products: features, options: training)
                .run { progress(.training($0)) }
        }
        let embedding = try trained(Evaluation.embedding) { _ in }
        progress(.trained(embedding, seed: options.seed))
        measure(Evaluation.embedding, InnerProductScorer(embedding), progress)
        measure(Evaluation.hybrid, HybridScorer(embedding), progress)
        for baseline in options.baselines {
            let scorer: any TargetScorer =
                if baseline == .singleEmbedding {
                    InnerProductScorer(try trained(baseline.rawValue) { $0.isSingle = true })
                } else {
                    scorer(of: baseline)
                }
            measure(baseline.rawValue, scorer, progress)
            if baseline == .degrees {
                methods[baseline.rawValue] = methods[baseline.rawValue]?.filter { Metric.isOfPairs($0.key) }
            }
        }
        for variant in variants {
            switch variant {
            case .training(let name, let change): measure(name, InnerProductScorer(try trained(name, change)), progress)
            case .ranking(let feature): measure(variant.name, HybridScorer(embedding, without: feature), progress)
            }
        }
        var testEdges = ["all": heldOut.edgeCount, "direction": groups.oneWay.count]
        for (suffix, edges) in groups.ranked { testEdges[String(suffix.dropFirst())] = edges.count }
        for (name, pairs) in absent.kinds { testEdges[name] = pairs.edgeCount }
        return Evaluation.Seed(
            seed: options.seed, testEdges: testEdges, methods: methods, training: embedding.report)
    }

    private mutating func measure(
        _ name: String, _ scorer: some TargetScorer, _ progress: (EvaluationProgress) -> Void
    ) {
        progress(.scoring(name))
        let scores = HeldOutScores(
            heldOut, train: train, scorer: scorer, withReverse: true, pairs: absent.kinds.map(\.pairs))
        methods[name] = Metric.all(scores, groups: groups, absent: absent)
    }

    /// The scorer of a baseline that learns nothing or learns at once.
    private func scorer(of baseline: Baseline) -> any TargetScorer {
        switch baseline {
        case .popularity: return PopularityScorer(train)
        case .coCitation: return PathScorer.coCitation(train)
        case .normalisedCoCitation: return PathScorer.normalisedCoCitation(train)
        case .symmetricTwoHop: return PathScorer.symmetricTwoHop(train)
        case .dualSVD:
            let factors = TruncatedSVD(SparseMatrix(binary: train), rank: Self.factors, seed: options.seed)
            return InnerProductScorer(source: factors.source, target: factors.target)
        case .degrees: return DegreeScorer(train)
        case .singleEmbedding: preconditionFailure("the single embedding is trained")
        }
    }
}
