internal import Graph
internal import LinearAlgebra

/// Scores every node of a graph as a target.
protocol TargetScorer: Sendable {
    /// Writes the scores of all nodes for each of the given sources: one row of `scores` for each source.
    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>)
}

/// What a scorer makes of held-out edges, by number of the held-out edge.
struct HeldOutScores {
    /// The rank of each edge's target among all nodes other than the source and its targets in the train graph, from 1.
    /// A tie counts half, so a scorer that scores all nodes alike ranks everything in the middle.
    private(set) var ranks: [Float]
    /// The score of each edge.
    private(set) var forward: [Float]
    /// The score of the reverse of each edge.
    private(set) var reverse: [Float]
    /// The scores of further pairs, by number of the pair.
    private(set) var others: [[Float]]

    /// Rows of scores for one call of the scorer; on a million nodes they take 32 MB a core.
    private static let rowsPerChunk = 8
    private static let excluded = -Float.infinity

    /// - Parameters:
    ///   - heldOut: the held-out edges, over the nodes of `train`.
    ///   - withReverse: whether to fill in ``reverse``, which costs a row of scores for every target.
    ///   - pairs: the pairs of ``others``, over the same nodes.
    init(
        _ heldOut: DirectedGraph, train: DirectedGraph, scorer: some TargetScorer, withReverse: Bool,
        pairs: [DirectedGraph] = []
    ) {
        let rows = (0..<heldOut.nodeCount).filter { row in
            heldOut.outDegree(row) > 0 || (withReverse && heldOut.inDegree(row) > 0)
                || pairs.contains { $0.outDegree(row) > 0 }
        }
        let nodes = heldOut.nodeCount
        func column(_ graph: DirectedGraph) -> Matrix { Matrix(rows: 1, columns: graph.edgeCount) }
        let (ranks, forward, reverse) = (column(heldOut), column(heldOut), column(heldOut))
        let others = pairs.map(column)
        parallelFor(count: rows.count, grain: Self.rowsPerChunk) { range in
            let scores = Matrix(rows: range.count, columns: nodes)
            scorer.score(rows[range], into: scores.elements)
            for (index, row) in rows[range].enumerated() {
                let scores = scores[row: index]
                for place in heldOut.inRange(row) {
                    reverse.elements[Int(heldOut.inEdges[place])] = scores[Int(heldOut.inSources[place])]
                }
                for (graph, values) in zip([heldOut] + pairs, [forward] + others) {
                    for edge in graph.outRange(row) {
                        values.elements[edge] = scores[Int(graph.outTargets[edge])]
                    }
                }
                Self.exclude(row, train: train, from: scores)
                for edge in heldOut.outRange(row) {
                    ranks.elements[edge] = Self.rank(of: forward.elements[edge], in: scores, count: nodes)
                }
            }
        }
        func array(_ column: Matrix) -> [Float] {
            Array(UnsafeBufferPointer(start: column.elements, count: column.count))
        }
        self.ranks = array(ranks)
        self.forward = array(forward)
        self.reverse = array(reverse)
        self.others = others.map(array)
    }

    private static func exclude(_ row: Int, train: DirectedGraph, from scores: UnsafeMutablePointer<Float>) {
        scores[row] = excluded
        for edge in train.outRange(row) { scores[Int(train.outTargets[edge])] = excluded }
    }

    /// The rank of a score that is itself among the scores.
    private static func rank(of score: Float, in scores: UnsafeMutablePointer<Float>, count: Int) -> Float {
        var above = SIMD8<Int32>.zero
        var equal = SIMD8<Int32>.zero
        var index = 0
        let bound = SIMD8<Float>(repeating: score)
        while index + 8 <= count {
            let lanes = UnsafeRawPointer(scores + index).loadUnaligned(as: SIMD8<Float>.self)
            above.replace(with: above &+ 1, where: lanes .> bound)
            equal.replace(with: equal &+ 1, where: lanes .== bound)
            index += 8
        }
        var aboveCount = Int(above.wrappedSum())
        var equalCount = Int(equal.wrappedSum())
        while index < count {
            aboveCount += scores[index] > score ? 1 : 0
            equalCount += scores[index] == score ? 1 : 0
            index += 1
        }
        return 1 + Float(aboveCount) + Float(equalCount - 1) / 2
    }
}

/// Scores by inner products of source and target rows.
struct InnerProductScorer: TargetScorer {
    let source: Matrix
    let target: Matrix

    init(source: Matrix, target: Matrix) {
        self.source = source
        self.target = target
    }

    init(_ embedding: DualEmbedding) { self.init(source: embedding.source, target: embedding.target) }

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        let width = source.columns
        let rows = Matrix(rows: sources.count, columns: width)
        for (index, row) in sources.enumerated() { rows[row: index].update(from: source[row: row], count: width) }
        gemm(
            transposeB: true, rows: sources.count, columns: target.rows, inner: width, rows.elements, lda: width,
            target.elements, ldb: width, scores, ldc: target.rows)
    }
}
