internal import Foundation
internal import Graph
internal import LinearAlgebra

/// For each held-out edge its target and what competes with it: terms, inner products, and offsets of a softmax.
///
/// Those that rank high by one term or the inner product are all there; of the rest some are drawn, and each stands for
/// as many as were not: without them the weight of the inner product, which alone tells them from the target, collapses.
struct CandidateSets {
    /// One competitor.
    struct Candidate {
        /// The terms of its boost by feature, and in the last lane its inner product.
        var terms: PathFeatures.Counts
        /// The logarithm of how many nodes it stands for.
        var offset: Float
    }

    /// By edge; the target comes first.
    let sets: [[Candidate]]

    private static let bestOfEach = 50
    private static let drawn = 200

    /// Keeps the draws apart from other uses of the same seed.
    private static let stream: UInt64 = 0x4841_5244

    /// - Parameters:
    ///   - edges: some of those of `heldOut`, none of which competes with another.
    init(
        _ edges: [Edge], heldOut: DirectedGraph, train: DirectedGraph, features: PathFeatures, source: Matrix,
        target: Matrix, seed: UInt64
    ) {
        var sets = [[Candidate]](repeating: [], count: edges.count)
        sets.withUnsafeMutableBufferPointer { sets in
            nonisolated(unsafe) let sets = sets
            parallelFor(count: edges.count, grain: 64) { range in
                let paths = PathCounts(nodeCount: train.nodeCount)
                let scores = Matrix(rows: 1, columns: train.nodeCount)
                let inner = InnerProductScorer(source: source, target: target)
                for index in range {
                    let edge = edges[index]
                    let row = Int(edge.source)
                    var generator = SeededGenerator(seed: seed, stream: Self.stream + UInt64(index) << 32)
                    features.count(from: row, into: paths)
                    inner.score([row][...], into: scores.elements)
                    let others = Self.others(
                        row, heldOut: heldOut, train: train, paths: paths, scores: scores.elements, using: &generator)
                    sets[index] = ([(edge.target, 0)] + others).map { node, offset in
                        var terms = HybridRanker.terms(paths.counts(of: node))
                        terms[SoftmaxFit.innerProduct] = scores.elements[Int(node)]
                        return Candidate(terms: terms, offset: offset)
                    }
                }
            }
        }
        self.sets = sets
    }

    /// The nodes that compete for a place in the list of a row, with their offsets.
    private static func others(
        _ row: Int, heldOut: DirectedGraph, train: DirectedGraph, paths: PathCounts,
        scores: UnsafeMutablePointer<Float>, using generator: inout SeededGenerator
    ) -> [(UInt32, Float)] {
        var isTaken = [Bool](repeating: false, count: train.nodeCount)
        isTaken[row] = true
        for edge in train.outRange(row) { isTaken[Int(train.outTargets[edge])] = true }
        for edge in heldOut.outRange(row) { isTaken[Int(heldOut.outTargets[edge])] = true }
        let rest = (0..<UInt32(train.nodeCount)).filter { !isTaken[Int($0)] }
        var hard = best(rest) { scores[Int($0)] }
        let reached = (0..<paths.reached).map { paths.nodes[$0] }.filter { !isTaken[Int($0)] }
        for feature in PathFeature.allCases {
            hard += best(reached.filter { paths.counts(of: $0)[feature.rawValue] > 0 }) {
                paths.counts(of: $0)[feature.rawValue]
            }
        }
        var result: [(UInt32, Float)] = []
        for node in hard where !isTaken[Int(node)] {
            isTaken[Int(node)] = true
            result.append((node, 0))
        }
        var easy = rest.filter { !isTaken[Int($0)] }
        let count = min(drawn, easy.count)
        let offset = count > 0 ? log(Float(easy.count) / Float(count)) : 0
        for place in 0..<count {
            easy.swapAt(place, place + generator.uniform(below: easy.count - place))
            result.append((easy[place], offset))
        }
        return result
    }

    /// The best nodes by a score; ties in the order of rows.
    private static func best(_ nodes: [UInt32], by score: (UInt32) -> Float) -> [UInt32] {
        var best: [(score: Float, node: UInt32)] = []
        for node in nodes {
            let score = score(node)
            if best.count == bestOfEach {
                guard score > best[bestOfEach - 1].score else { continue }
                best.removeLast()
            }
            best.insert((score, node), at: best.firstIndex { $0.score < score } ?? best.count)
        }
        return best.map(\.node)
    }
}
