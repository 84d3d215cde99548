import Foundation
import Graph
import LinearAlgebra
import Tables
import Testing

@testable import Related

@Suite struct RankingTests {
    // MARK: Features

    /// Row-major products of small dense matrices.
    private struct Dense {
        var rows: [[Double]]

        init(_ rows: [[Double]]) { self.rows = rows }

        init(_ graph: DirectedGraph) {
            rows = (0..<graph.nodeCount).map { row in
                (0..<graph.nodeCount).map { graph.edge(from: row, to: $0) == nil ? 0 : 1 }
            }
        }

        var transposed: Dense { Dense(rows.indices.map { column in rows.map { $0[column] } }) }

        func scaled(_ scale: (Int) -> Double) -> Dense {
            Dense(rows.enumerated().map { row, values in values.map { $0 * scale(row) } })
        }

        static func * (a: Dense, b: Dense) -> Dense {
            Dense(
                a.rows.map { row in
                    b.rows.indices.map { column in zip(row, b.rows).reduce(0) { $0 + $1.0 * $1.1[column] } }
                })
        }
    }

    @Test(arguments: [(30, 60), (30, 300), (40, 5)]) func featuresAreProductsOfMatrices(nodes: Int, edges: Int) {
        let graph = randomGraph(nodes, edges: edges, seed: 3)
        let a = Dense(graph)
        func outShare(_ node: Int) -> Double { 1 / Double(max(1, graph.outDegree(node))) }
        func inShare(_ node: Int) -> Double { 1 / Double(max(1, graph.inDegree(node))) }
        let byOut = a.scaled(outShare)
        let byIn = a.transposed.scaled(inShare)
        let overall = graph.reciprocity
        let mutual = (0..<nodes).map { node in
            Double(a.rows[node].indices.count { a.rows[node][$0] * a.rows[$0][node] > 0 })
        }
        let returns = a.transposed.scaled { node in
            (mutual[node] + 2 * overall) / Double(graph.outDegree(node) + 2)
                / max(1, Double(graph.inDegree(node)) - mutual[node])
        }
        let truth: [PathFeature: Dense] = [
            .coCitation: a * byIn * a.scaled { outShare($0).squareRoot() },
            .forward: a * byOut, .commonSource: a.transposed * byOut, .commonTarget: a * byIn,
            .backward: a.transposed * byIn, .returned: returns,
        ]
        let features = PathFeatures(PathGraph(graph))
        let paths = PathCounts(nodeCount: nodes)
        for source in 0..<nodes {
            features.count(from: source, into: paths)
            #expect(Set((0..<paths.reached).map { paths.nodes[$0] }).count == paths.reached)
            for feature in PathFeature.allCases {
                for node in 0..<nodes {
                    let (found, wanted) = (
                        Double(paths.counts(of: UInt32(node))[feature.rawValue]), truth[feature]!.rows[source][node]
                    )
                    #expect(abs(found - wanted) <= 1e-6 * max(1, wanted), "\(feature) of \(source), \(node)")
                }
            }
        }
    }

    @Test(arguments: [0, 1]) func hubsLeadNowhere(beyond: Int) {
        // 1 -> 0, 2 -> 0, ... and 0 -> back to as many: a node is a middle up to the limit, and none beyond.
        let degree = PathFeatures.mostNeighbours + beyond
        let hub = graph(degree + 1, (1...degree).flatMap { [($0, 0), (0, $0)] })
        let features = PathFeatures(PathGraph(hub))
        let paths = PathCounts(nodeCount: hub.nodeCount)
        features.count(from: 1, into: paths)
        #expect(paths.reached == (beyond == 0 ? degree + 1 : 1))
        let share = beyond == 0 ? 1 / Float(degree) : 0
        #expect(paths.counts(of: 2)[PathFeature.commonTarget.rawValue] == share)
        #expect(paths.counts(of: 2)[PathFeature.forward.rawValue] == share)
        #expect(paths.counts(of: 0)[PathFeature.returned.rawValue] > 0)
    }

    @Test func termsAreLogarithms() {
        #expect(HybridRanker.terms(.zero) == .zero)
        for exponent in stride(from: Float(-9), through: 9, by: 0.037) {
            let count = pow(10, exponent)
            let term = HybridRanker.terms(PathFeatures.Counts(repeating: count))[5]
            let truth = log1p(Double(count) * 1000)
            #expect(abs(Double(term) - truth) <= 3e-7 * max(1, truth), "\(count)")
        }
    }

    // MARK: Fit

    /// Sets of random candidates whose first one is drawn by the softmax of a linear score.
    private func planted(_ weights: [Double], sets: Int) -> [[CandidateSets.Candidate]] {
        var generator = SeededGenerator(seed: 5)
        return (0..<sets).map { _ in
            var set = (0..<12).map { _ in
                var terms = PathFeatures.Counts.zero
                for lane in PathFeature.allCases.map(\.rawValue) { terms[lane] = 2 * generator.uniform() }
                terms[SoftmaxFit.innerProduct] = generator.normal()
                return CandidateSets.Candidate(terms: terms, offset: 0)
            }
            // Gumbel's trick draws from a softmax.
            let scores = set.map { candidate in
                zip(weights, (0..<8).map { Double(candidate.terms[$0]) }).reduce(0) { $0 + $1.0 * $1.1 }
                    - log(-log(Double(generator.uniform()) + 1e-9))
            }
            set.swapAt(0, scores.indices.max { scores[$0] < scores[$1] }!)
            return set
        }
    }

    @Test func recoversPlantedWeights() {
        let truth = [1.5, 0, 0.5, 1, 0, 2, 0, 0.8]
        let fitted = SoftmaxFit(planted(truth, sets: 4000)).weights()
        for feature in PathFeature.allCases {
            #expect(abs(Double(fitted[feature]) - truth[feature.rawValue] / 0.8) < 0.25, "\(feature)")
        }
    }

    @Test func weightsAreNeverNegative() {
        let fitted = SoftmaxFit(planted([-1, 1, 0, 0, -0.5, 0, 0, 1], sets: 1000)).weights()
        #expect(fitted[.coCitation] == 0 && fitted[.backward] == 0 && fitted[.forward] > 0.7)
        #expect(HybridWeights([.forward: -1])[.forward] == 0)
    }

    @Test func theInnerProductKeepsAWeight() {
        // It points the wrong way: the floor of its weight bounds all others.
        let fitted = SoftmaxFit(planted([1, 1, 1, 1, 1, 1, 0, -2], sets: 500)).weights()
        for feature in PathFeature.allCases { #expect(fitted[feature].isFinite && fitted[feature] < 100) }
    }

    /// Groups in which everything leads to everything, a part of it held out.
    private func groups() -> EdgeSplit {
        let pairs = (0..<132).flatMap { u in (1...9).map { (u, u / 12 * 12 + (u + $0) % 12) } }
        return EdgeSplit(graph(132, pairs), fraction: 0.1, seed: 1)
    }

    private func randomVectors(_ rows: Int, seed: UInt64) -> Matrix {
        var generator = SeededGenerator(seed: seed)
        return Matrix((0..<rows).map { _ in (0..<6).map { _ in generator.normal() } })
    }

    private func fit(_ split: EdgeSplit) -> HybridFit {
        let nodes = split.train.nodeCount
        return HybridFit(
            heldOut: DirectedGraph(ids: split.train.ids, edges: split.heldOut), train: split.train,
            source: randomVectors(nodes, seed: 1), target: randomVectors(nodes, seed: 2), seed: 1)
    }

    @Test func pathsThatHelpAreChosen() throws {
        let fit = fit(groups())
        #expect(fit.report.isHybrid && fit.report.hybrid > 2 * fit.report.innerProduct)
        let weights = try #require(fit.weights)
        #expect(fit.report.weights == weights.named)
        #expect(weights.named.values.contains { $0 > 0 })
    }

    @Test func withoutPathsThereIsNoHybrid() {
        // Pairs by themselves: nothing leads from a source to the target of a held-out edge.
        let whole = graph(400, (0..<200).map { (2 * $0, 2 * $0 + 1) })
        let fit = fit(EdgeSplit(whole, fraction: 0.5, seed: 1))
        #expect(fit.weights == nil && !fit.report.isHybrid)
        #expect(fit.report.heldOutEdges == 100 && fit.report.hybrid == fit.report.innerProduct)
    }

    @Test func aHandfulOfEdgesFitsNothing() {
        let fit = fit(EdgeSplit(graph(40, (0..<39).map { ($0, $0 + 1) }), fraction: 0.2, seed: 1))
        #expect(fit.weights == nil && !fit.report.isHybrid && fit.report.heldOutEdges == 8)
    }

    @Test func theFitIsTheSameOnOneThread() {
        let many = fit(groups())
        Parallelism.threads = 1
        defer { Parallelism.threads = 0 }
        let one = fit(groups())
        #expect(one.weights == many.weights && one.report.hybrid == many.report.hybrid)
    }

    // MARK: Scores and files

    @Test func scoresAreInnerProductsAndBoosts() {
        let graph = randomGraph(50, edges: 200, seed: 2)
        let ranker = HybridRanker(HybridWeights([.coCitation: 1, .returned: 0.5]), graph: graph)
        let (source, target) = (randomVectors(50, seed: 1), randomVectors(50, seed: 2))
        let scores = Matrix(rows: 50, columns: 50)
        HybridScorer(source: source, target: target, ranker: ranker).score(Array(0..<50)[...], into: scores.elements)
        let inner = Matrix(rows: 50, columns: 50)
        InnerProductScorer(source: source, target: target).score(Array(0..<50)[...], into: inner.elements)
        let boosts = ranker.makeBoosts()
        var isBoosted = false
        for row in 0..<50 {
            boosts.compute(for: row)
            for (place, node) in boosts.rows.enumerated() { #expect(boosts.boosts[place] == boosts.boost(of: node)) }
            for node in 0..<50 {
                let boost = boosts.boost(of: UInt32(node))
                #expect(boost >= 0 && scores[row, node] == inner[row, node] + boost)
                isBoosted = isBoosted || boost > 0
            }
        }
        #expect(isBoosted)
    }

    private func embeddings(_ metadata: [String: String], _ extras: [CarriedTensor]) throws -> RelatedEmbeddings {
        try RelatedEmbeddings(
            ids: ["a", "b", "c"], dimension: 1, source: [1, 2, 3], target: [1, 2, 3], metadata: metadata, extras: extras
        )
    }

    @Test func isReadAsItWasWritten() throws {
        let graph = graph(3, [(0, 1), (1, 2), (2, 0), (2, 1), (1, 0)])
        let ranker = HybridRanker(HybridWeights([.forward: 0.1, .backward: 1 / 3]), graph: graph)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("ranker-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try embeddings(ranker.metadata, ranker.features.graph.tensors).write(to: path)
        let read = try #require(try HybridRanker(RelatedEmbeddings(path: path)))
        #expect(read.weights == ranker.weights)
        let (written, back) = (ranker.makeBoosts(), read.makeBoosts())
        for row in 0..<3 {
            written.compute(for: row)
            back.compute(for: row)
            #expect(Array(back.rows) == Array(written.rows) && Array(back.boosts) == Array(written.boosts))
        }
    }

    @Test func brokenRankersAreRefused() throws {
        #expect(try HybridRanker(embeddings([:], [])) == nil)
        #expect(try HybridRanker(embeddings(["ranker": "innerProduct"], [])) == nil)
        let whole = HybridRanker(HybridWeights([.forward: 1]), graph: graph(3, [(0, 1), (0, 2)]))
        func message(_ metadata: [String: String], _ extras: [CarriedTensor]) throws -> String {
            try #require(throws: TableError.self) { try HybridRanker(embeddings(metadata, extras)) }.description
        }
        let tensors = whole.features.graph.tensors
        for weight in ["-1", "nan", "much"] {
            let metadata = whole.metadata.merging(["ranker.forward": weight]) { $1 }
            #expect(try message(metadata, tensors).contains("'ranker.forward' is no number from 0 on"))
        }
        #expect(try message(whole.metadata, []).contains("'graph.offsets' or 'graph.targets' is missing"))
        let offsets: [(UInt64, UInt64, UInt64, UInt64)] = [(0, 2, 2, 3), (1, 2, 2, 2), (0, 2, 1, 2)]
        for offsets in offsets {
            let broken = CarriedTensor("graph.offsets", shape: [4], [offsets.0, offsets.1, offsets.2, offsets.3])
            #expect(try message(whole.metadata, [broken, tensors[1]]).contains("does not cut 'graph.targets'"))
        }
        for targets: [UInt32] in [[2, 1], [1, 1], [1, 3]] {
            let broken = CarriedTensor("graph.targets", shape: [2], targets)
            #expect(try message(whole.metadata, [tensors[0], broken]).contains("out of order in row 0"))
        }
    }
}
