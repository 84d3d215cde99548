internal import Graph
internal import LinearAlgebra

/// Scores as a published list of a known product ranks: by the hybrid where there is one, else by the inner product.
struct HybridScorer: TargetScorer {
    private let inner: InnerProductScorer
    private let ranker: HybridRanker?

    init(source: Matrix, target: Matrix, ranker: HybridRanker?) {
        inner = InnerProductScorer(source: source, target: target)
        self.ranker = ranker
    }

    /// By vectors and weights that were learned from a graph.
    init(_ embedding: DualEmbedding, graph: DirectedGraph) {
        self.init(
            source: embedding.source, target: embedding.target,
            ranker: embedding.hybridWeights.map { HybridRanker($0, graph: graph) })
    }

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        inner.score(sources, into: scores)
        guard let ranker else { return }
        let nodes = inner.target.rows
        let paths = PathCounts(nodeCount: nodes)
        for (index, source) in sources.enumerated() {
            let row = scores + index * nodes
            ranker.features.count(from: source, into: paths)
            for place in 0..<paths.reached { row[Int(paths.nodes[place])] += ranker.boost(paths[place]) }
        }
    }
}
