public import Graph
public import Tables

/// What each path feature counts beside the inner product. See ``HybridRanker``.
public struct HybridWeights: Codable, Hashable, Sendable {
    /// By raw value of the feature; none is negative.
    let values: PathFeatures.Counts

    /// Weights by feature, 0 for those that are left out; negative ones become 0.
    public init(_ weights: [PathFeature: Float]) {
        var values = PathFeatures.Counts.zero
        for (feature, weight) in weights { values[feature.rawValue] = max(0, weight) }
        self.values = values
    }

    /// The weight of a feature.
    public subscript(feature: PathFeature) -> Float { values[feature.rawValue] }

    /// The weights by name of the feature.
    var named: [String: Float] {
        Dictionary(uniqueKeysWithValues: PathFeature.allCases.map { ("\($0)", self[$0]) })
    }
}

/// Ranks the lists of known products: by the inner product of the vectors and, on top of it, by the paths of the graph.
///
///     score(u, v) = source[u] . target[v] + boost(u, v),    boost(u, v) = sum_i w_i log(1 + x_i(u, v) / 0.001)
///
/// with the counts x_i of ``PathFeature`` and weights that are not negative. So a boost is never negative, and 0 where no
/// path leads: the best k are among the best k by inner product and the nodes that paths reach, and whatever a list leaves
/// out scores below its last entry by the inner product alone. The neighbours that a product is known to have are reached
/// by paths, too, and stand in its list.
public struct HybridRanker: Sendable {
    /// The weights.
    public let weights: HybridWeights
    let features: PathFeatures

    /// Counts below this hardly matter.
    private static let unit: Float = 0.001

    /// Ranks by the paths of `graph`.
    public init(_ weights: HybridWeights, graph: DirectedGraph) {
        self.init(weights, PathFeatures(PathGraph(graph)))
    }

    init(_ weights: HybridWeights, _ features: PathFeatures) {
        self.weights = weights
        self.features = features
    }

    /// The same with the weight of one feature set to 0.
    func without(_ feature: PathFeature) -> HybridRanker {
        let others = PathFeature.allCases.filter { $0 != feature }
        return HybridRanker(HybridWeights(Dictionary(uniqueKeysWithValues: others.map { ($0, weights[$0]) })), features)
    }

    /// The ranker that was written beside embeddings; nil where there is none.
    ///
    /// - Throws: Where a weight is not a number from 0 on, or the graph is missing or broken.
    public init?(_ embeddings: RelatedEmbeddings) throws(TableError) {
        guard embeddings.metadata[RelatedEmbeddings.rankerKey] == Self.name else { return nil }
        var weights: [PathFeature: Float] = [:]
        for feature in PathFeature.allCases {
            let key = RelatedEmbeddings.rankerPrefix + "\(feature)"
            guard let text = embeddings.metadata[key], let weight = Float(text), weight >= 0, weight.isFinite else {
                throw TableError(
                    path: embeddings.path, reason: "the metadata '\(key)' is no number from 0 on",
                    remedy: "train again, or publish with the ranker inner-product")
            }
            weights[feature] = weight
        }
        self.init(HybridWeights(weights), PathFeatures(try PathGraph(embeddings)))
    }

    /// What makes up the ranker in the metadata of embeddings.
    var metadata: [String: String] {
        var metadata = [RelatedEmbeddings.rankerKey: Self.name]
        for (name, value) in parameters { metadata[RelatedEmbeddings.rankerPrefix + name] = value }
        return metadata
    }

    private static let name = "hybrid"
    /// Its name in metadata and attributes.
    public var name: String { Self.name }
    /// The weights by name of the feature.
    public var parameters: [String: String] { weights.named.mapValues { "\($0)" } }
    /// Memory for the boosts of one row after another; each thread has its own.
    public func makeBoosts() -> PathBoosts { PathBoosts(self) }

    /// The terms of a boost before they are weighted: `log(1 + x / 0.001)` of each count.
    static func terms(_ counts: PathFeatures.Counts) -> PathFeatures.Counts {
        logarithm(1 + counts * (1 / unit))
    }

    /// The boost of a node with these counts.
    func boost(_ counts: PathFeatures.Counts) -> Float {
        (weights.values * Self.terms(counts)).sum()
    }

    /// The natural logarithm of numbers from 1 on, to the precision of `Float`, and exactly 0 of 1: with x = 2^e m and
    /// m between the roots of 1/2 and 2, `log x = e log 2 + 2 artanh((m - 1) / (m + 1))`.
    private static func logarithm(_ x: SIMD8<Float>) -> SIMD8<Float> {
        let bits = unsafeBitCast(x, to: SIMD8<Int32>.self)
        let rootOfHalf: Int32 = 0x3F35_04F3
        let exponent = (bits &- rootOfHalf) &>> 23
        let mantissa = unsafeBitCast(bits &- exponent &<< 23, to: SIMD8<Float>.self)
        let s = (mantissa - 1) / (mantissa + 1)
        let square = s * s
        var series = PathFeatures.Counts(repeating: 2 / 9)
        series = series * square + Float(2) / 7
        series = series * square + Float(2) / 5
        series = series * square + Float(2) / 3
        series = series * square + Float(2)
        return SIMD8<Float>(exponent) * 0.693_147_2 + s * series
    }
}

/// The boosts of one source at a time, by one thread.
public final class PathBoosts {
    private let ranker: HybridRanker
    private let paths: PathCounts
    private let values: UnsafeMutablePointer<Float>

    init(_ ranker: HybridRanker) {
        self.ranker = ranker
        paths = PathCounts(nodeCount: ranker.features.graph.nodeCount)
        values = .allocate(capacity: ranker.features.graph.nodeCount)
    }

    deinit { values.deallocate() }

    /// Computes the boosts of a source.
    public func compute(for row: Int) {
        ranker.features.count(from: row, into: paths)
        for place in 0..<paths.reached { values[place] = ranker.boost(paths[place]) }
    }

    /// The nodes that the source reaches, perhaps itself among them, each once.
    public var rows: UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(start: paths.nodes, count: paths.reached) }
    /// The boosts of ``rows``.
    public var boosts: UnsafeBufferPointer<Float> { UnsafeBufferPointer(start: values, count: paths.reached) }
    /// The boost of any node.
    public func boost(of row: UInt32) -> Float { ranker.boost(paths.counts(of: row)) }
}
