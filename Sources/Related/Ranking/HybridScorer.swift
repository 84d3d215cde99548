internal import LinearAlgebra

/// Scores as a published list of a known product ranks: by the hybrid where there is one, else by the inner product.
struct HybridScorer: TargetScorer {
    private let inner: InnerProductScorer
    private let ranker: HybridRanker?

    init(source: Matrix, target: Matrix, ranker: HybridRanker?) {
        inner = InnerProductScorer(source: source, target: target)
        self.ranker = ranker
    }

    init(_ embedding: DualEmbedding) {
        self.init(source: embedding.source, target: embedding.target, ranker: embedding.ranker)
    }

    /// The same with the weight of one feature set to 0.
    init(_ embedding: DualEmbedding, without feature: PathFeature) {
        self.init(
            source: embedding.source, target: embedding.target, ranker: embedding.ranker.map { $0.without(feature) })
    }

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        inner.score(sources, into: scores)
        guard let ranker else { return }
        let boosts = ranker.makeBoosts()
        for (index, source) in sources.enumerated() {
            let row = scores + index * inner.target.rows
            boosts.compute(for: source)
            for (node, boost) in zip(boosts.rows, boosts.boosts) { row[Int(node)] += boost }
        }
    }
}
