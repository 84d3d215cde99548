import Foundation
import Graph
import Learning
import LinearAlgebra
import Testing

@testable import Related

/// Fixed scores for every pair.
private struct TableScorer: TargetScorer {
    let rows: [[Float]]

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        for (index, source) in sources.enumerated() {
            (scores + index * rows.count).update(from: rows[source], count: rows.count)
        }
    }
}

@Suite struct MetricsTests {
    @Test func ranksAsByHand() {
        let train = graph(5, [(0, 1), (2, 0)])
        let heldOut = graph(5, [(0, 2), (0, 4), (3, 0)])
        let scorer = TableScorer(rows: [
            // 0 itself and 1, a target in train, do not count: 4 (0.9), then 3 and 2 tied.
            [9, 8, 0.5, 0.5, 0.9],
            [0, 0, 0, 0, 0],
            [3, 0, 0, 0, 0],
            [0.1, 0.2, 0.3, 9, 0.4],
            [7, 0, 0, 0, 0],
        ])
        let scores = HeldOutScores(heldOut, train: train, scorer: scorer, withReverse: true)
        #expect(scores.ranks == [2.5, 1, 4])
        #expect(scores.forward == [0.5, 0.9, 0.1])
        #expect(scores.reverse == [3, 7, 0.5])
    }

    @Test func aConstantScorerGetsNoCredit() {
        let train = randomGraph(200, edges: 400, seed: 1)
        let heldOut = randomGraph(200, edges: 100, seed: 2)
        let scorer = TableScorer(rows: [[Float]](repeating: [Float](repeating: 1, count: 200), count: 200))
        let scores = HeldOutScores(heldOut, train: train, scorer: scorer, withReverse: true)
        let metrics = Metric.all(scores, groups: EdgeGroups(heldOut, train: train))
        #expect(metrics["hitRate@20"] == 0)
        #expect(metrics["mrr@20"] == 0)
        #expect(metrics[Metric.directionAccuracy] == 0.5)
        #expect(metrics[Metric.directionAUC] == 0.5)
    }

    @Test func summarizesRanks() {
        let metrics = Metric.ranking([1, 4, 7.5, 15, 40])
        #expect(metrics["hitRate@5"] == 0.4)
        #expect(metrics["hitRate@10"] == 0.6)
        #expect(metrics["hitRate@20"] == 0.8)
        #expect(abs(metrics["mrr@10"]! - (1 + 0.25 + 1 / 7.5) / 5) < 1e-12)
        #expect(abs(metrics["mrr"]! - (1 + 0.25 + 1 / 7.5 + 1 / 15.0 + 1 / 40.0) / 5) < 1e-12)
        #expect(Metric.ranking([]).isEmpty)
    }

    @Test func comparesDirectionsByPairsAndByAllPairs() {
        let leads: [Float] = [2, 0.5, -1, 0]
        let metrics = Metric.direction(leads)
        #expect(metrics[Metric.directionAccuracy] == 2.5 / 4)
        var wins = 0.0
        for edge in leads {
            for reverse in leads.map({ -$0 }) { wins += edge > reverse ? 1 : edge == reverse ? 0.5 : 0 }
        }
        #expect(abs(metrics[Metric.directionAUC]! - wins / 16) < 1e-12)
        #expect(Metric.direction([]).isEmpty)
    }

    @Test func groupsTestEdges() {
        let train = graph(6, [(1, 0), (2, 1), (2, 3), (2, 4), (2, 5)])
        let heldOut = graph(6, [(0, 1), (2, 0), (0, 2), (3, 5)])
        let groups = EdgeGroups(heldOut, train: train)
        // By number: (0,1) has its reverse in train; (0,2) and (2,0) are each other's reverse.
        #expect(groups.ranked[0].edges == [1, 2, 3])
        #expect(groups.oneWay == [3])
        #expect(groups.ranked[1].edges == [0, 1, 3])
        #expect(groups.ranked[2].edges == [2])
    }
}

@Suite struct BaselineTests {
    private let graph = randomGraph(25, edges: 120, seed: 9)

    private func adjacency() -> [[Double]] {
        var dense = [[Double]](repeating: [Double](repeating: 0, count: 25), count: 25)
        for edge in graph.edges { dense[Int(edge.source)][Int(edge.target)] = 1 }
        return dense
    }

    private func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
        a.map { row in b[0].indices.map { column in row.indices.reduce(0) { $0 + row[$1] * b[$1][column] } } }
    }

    private func transpose(_ a: [[Double]]) -> [[Double]] { a[0].indices.map { column in a.map { $0[column] } } }

    private func expect(_ scorer: some TargetScorer, equals dense: [[Double]]) {
        let scores = Matrix(rows: 25, columns: 25)
        scorer.score(Array(0..<25)[...], into: scores.elements)
        for row in 0..<25 {
            for column in 0..<25 { #expect(abs(Double(scores[row, column]) - dense[row][column]) < 1e-4) }
        }
    }

    @Test func coCitation() {
        let a = adjacency()
        expect(PathScorer.coCitation(graph), equals: product(product(a, transpose(a)), a))
    }

    @Test func normalisedCoCitation() {
        let a = adjacency()
        let middle = transpose(a).enumerated().map { row, values in
            values.map { $0 / Double(max(1, graph.inDegree(row))) }
        }
        let last = a.enumerated().map { row, values in
            values.map { $0 / Double(max(1, graph.outDegree(row))).squareRoot() }
        }
        expect(PathScorer.normalisedCoCitation(graph), equals: product(product(a, middle), last))
    }

    @Test func symmetricTwoHop() {
        let a = adjacency()
        let both = zip(a, transpose(a)).map { zip($0, $1).map { $0 + $1 } }
        expect(PathScorer.symmetricTwoHop(graph), equals: product(both, both))
    }

    @Test func popularityAndDegrees() {
        let dense = (0..<25).map { _ in (0..<25).map { Double(graph.inDegree($0)) } }
        expect(PopularityScorer(graph), equals: dense)
        let degrees = (0..<25).map { u in
            (0..<25).map { log1p(Double(graph.outDegree(u))) + log1p(Double(graph.inDegree($0))) }
        }
        expect(DegreeScorer(graph), equals: degrees)
    }

    @Test func singularValuesRebuildTheMatrix() {
        let matrix = SparseMatrix(binary: graph)
        let dense = adjacency()
        let all = TruncatedSVD(matrix, rank: 25, seed: 1)
        expect(InnerProductScorer(source: all.source, target: all.target), equals: dense)
        // By Eckart and Young the error of rank k is what the other singular values leave.
        let some = TruncatedSVD(matrix, rank: 6, seed: 2)
        let squares = (0..<25).map { column in
            (0..<25).reduce(0.0) { $0 + Double(all.source[$1, column]) * Double(all.source[$1, column]) }
        }
        #expect(zip(squares, squares.dropFirst()).allSatisfy { $0 >= $1 - 1e-3 })
        var error = 0.0
        for row in 0..<25 {
            for column in 0..<25 {
                let value = (0..<6).reduce(0.0) { $0 + Double(some.source[row, $1]) * Double(some.target[column, $1]) }
                error += (value - dense[row][column]) * (value - dense[row][column])
            }
        }
        #expect(abs(error - squares.dropFirst(6).reduce(0, +)) < 0.02 * error)
    }
}

@Suite struct EvaluationTests {
    @Test func measuresTheEmbeddingBesideEveryBaseline() throws {
        var options = EvaluationOptions()
        options.training.dimension = 8
        options.training.epochs = 2
        options.training.negatives = 32
        var names: [String] = []
        let evaluation = try Evaluation.run(randomGraph(120, edges: 900, seed: 3), options: options) {
            if case .scoring(let name) = $0 { names.append(name) }
        }
        #expect(names.count == 7)
        #expect(evaluation.testEdges["all"] == 87 || evaluation.testEdges["all"]! > 80)
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(evaluation.json().utf8)) as? [String: Any])
        let embedding = try #require(json["embedding"] as? [String: Double])
        for metric in ["hitRate@5", "hitRate@10", "hitRate@20", "mrr@10", "hitRate@10.noReverse", "directionAccuracy"] {
            #expect(embedding[metric] != nil, "\(metric)")
        }
        let baselines = try #require(json["baselines"] as? [String: [String: Double]])
        #expect(
            Set(baselines.keys) == [
                "popularity", "coCitation", "normalisedCoCitation", "symmetricTwoHop", "dualSVD", "degrees",
            ])
        #expect(Set(baselines["degrees"]!.keys) == ["directionAccuracy", "directionAUC"])
        #expect(evaluation.table().split(separator: "\n").count == 9)
        #expect(evaluation.csv().hasPrefix("method,metric,value\nembedding,"))
        #expect(evaluation.svg().hasPrefix("<svg ") && evaluation.svg().hasSuffix("</svg>\n"))
        #expect(evaluation.svg().components(separatedBy: "<title>").count - 1 == 6 * 5)
    }

    @Test func refusesWhatCannotBeTested() {
        let graph = graph(3, [(0, 1), (1, 2)])
        var options = EvaluationOptions()
        let tooSmall = #expect(throws: TrainingError.self) { try Evaluation.run(graph, options: options) }
        #expect(tooSmall?.description.contains("give a larger graph") == true)
        for fraction in [0, 1, .nan] {
            options.testFraction = fraction
            let error = #expect(throws: TrainingError.self) { try options.validate() }
            #expect(error?.option == "test-fraction")
            let same = #expect(throws: TrainingError.self) { try Evaluation.run(graph, options: options) }
            #expect(same == error)
        }
        options.testFraction = 0.5
        options.training.dimension = 0
        let error = #expect(throws: TrainingError.self) { try options.validate() }
        #expect(error?.option == "dimension")
    }
}
