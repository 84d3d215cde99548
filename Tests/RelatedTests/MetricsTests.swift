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
        #expect(names == evaluation.methods)
        #expect(names == ["embedding", "hybrid"] + Baseline.allCases.map(\.rawValue))
        #expect(evaluation.seeds.count == 1 && evaluation.seeds[0].testEdges["all"]! > 80)
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(evaluation.json().utf8)) as? [String: Any])
        let embedding = try #require(json["embedding"] as? [String: Double])
        for metric in ["hitRate@5", "hitRate@10", "hitRate@20", "mrr@10", "hitRate@10.noReverse", "directionAccuracy"] {
            #expect(embedding[metric] != nil, "\(metric)")
        }
        let baselines = try #require(json["baselines"] as? [String: [String: Double]])
        #expect(
            Set(baselines.keys) == [
                "popularity", "coCitation", "normalisedCoCitation", "symmetricTwoHop", "dualSVD", "singleEmbedding",
                "degrees",
            ])
        #expect(
            Set(baselines["degrees"]!.keys) == [
                "directionAccuracy", "directionAUC", "existenceAUC.uniform", "existenceAUC.byDegree",
            ])
        #expect(evaluation.csv().hasPrefix("method,metric,group,seed,value\nembedding,directionAUC,all,1,"))
        #expect(evaluation.csv().contains("\npopularity,hitRate@10,noReverse,1,"))
        #expect(!evaluation.csv().contains(",mean,") && !evaluation.table().contains("±"))
        let rows = evaluation.svg().components(separatedBy: "<title>").count - 1
        let groups = evaluation.seeds[0].testEdges.filter { $0.value > 0 && $0.key != "direction" }.keys
            .filter { $0 != "uniform" && $0 != "byDegree" }
        #expect(evaluation.svg().hasPrefix("<svg ") && evaluation.svg().hasSuffix("</svg>\n"))
        #expect(rows == 8 * groups.count)
    }

    @Test func severalSeedsGiveMeanAndSpread() throws {
        var options = EvaluationOptions()
        options.training.dimension = 8
        options.training.epochs = 1
        options.training.negatives = 32
        options.baselines = [.popularity]
        options.ablations = [.direction, .features]
        options.seeds = 3
        let graph = randomGraph(120, edges: 900, seed: 3)
        var runs: [String] = []
        let evaluation = try Evaluation.run(graph, options: options) {
            if case .began(let run) = $0 { runs.append("\(run.number)/\(run.count) \(run.seed) \(run.method)") }
        }
        #expect(
            runs == [
                "1/6 1 embedding", "2/6 1 no direction loss", "3/6 2 embedding", "4/6 2 no direction loss",
                "5/6 3 embedding", "6/6 3 no direction loss",
            ])
        #expect(evaluation.methods.prefix(4) == ["embedding", "hybrid", "popularity", "no direction loss"])
        #expect(evaluation.methods.dropFirst(4) == PathFeature.allCases.map { "hybrid without \($0)" }[...])
        let values = evaluation.seeds.map { $0.methods["popularity"]!["mrr"]! }
        #expect(Set(values).count == 3)
        let mean = values.reduce(0, +) / 3
        #expect(abs(evaluation.means("popularity")["mrr"]! - mean) < 1e-12)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 2
        #expect(abs(evaluation.spread("popularity")["mrr"]! - variance.squareRoot()) < 1e-12)
        #expect(evaluation.csv().contains("\npopularity,mrr,all,sd,\(variance.squareRoot())\n"))
        #expect(evaluation.table().contains("±"))
        #expect(evaluation.table().split(separator: "\n").allSatisfy { $0.count <= 120 })
        // The last of the seeds by itself gives what it gave among the others.
        options.seed = 3
        options.training.seed = 3
        options.seeds = 1
        let last = try Evaluation.run(graph, options: options)
        #expect(last.seeds[0].methods == evaluation.seeds[2].methods)
    }

    /// Random steps on an undirected graph: what they lead to has no direction.
    ///
    /// Each step begins anew in the walk's own equilibrium. Steps of one long walk leave a trace: a node is left as often
    /// as it is entered, so that a held-out step shows as a difference of its ends' degrees.
    private func transitions(seed: UInt64) -> DirectedGraph {
        var generator = SeededGenerator(seed: seed)
        var undirected: [(Int, Int)] = []
        for node in 0..<400 {
            for _ in 0..<6 {
                // Ten blocks, and in each some nodes that are chosen more often.
                let other = node / 40 * 40 + min(generator.uniform(below: 40), generator.uniform(below: 40))
                if other != node { undirected.append((node, other)) }
            }
        }
        let steps = (0..<2000).map { _ in
            let (a, b) = undirected[generator.uniform(below: undirected.count)]
            return generator.next() & 1 == 0 ? (a, b) : (b, a)
        }
        return graph(400, steps)
    }

    private func quick(_ baselines: [Baseline]) -> EvaluationOptions {
        var options = EvaluationOptions()
        options.training.dimension = 16
        options.training.epochs = 5
        options.training.negatives = 64
        // Twice as many of the edges fit the direction as usual, which is where a leak would come from.
        options.training.validFraction = 0.1
        options.testFraction = 0.3
        options.baselines = baselines
        return options
    }

    @Test func findsNoDirectionWhereThereIsNone() throws {
        let seeds = try (1...2).map {
            try Evaluation.run(transitions(seed: $0), options: quick([.singleEmbedding, .degrees])).seeds[0]
        }
        for method in ["embedding", "hybrid", "singleEmbedding", "degrees"] {
            var right = 0.0
            var count = 0.0
            for seed in seeds {
                let edges = Double(seed.testEdges["direction"]!)
                right += seed.methods[method]![Metric.directionAccuracy]! * edges
                count += edges
            }
            // Four standard errors of a fair coin.
            #expect(abs(right / count - 0.5) < 4 * 0.5 / count.squareRoot(), "\(method) \(right / count) of \(count)")
        }
    }

    /// Why ``transitions(seed:)`` begins each step anew.
    @Test func aLongWalkLeavesATraceInDegrees() throws {
        var generator = SeededGenerator(seed: 8)
        let undirected = randomGraph(300, edges: 900, seed: 2)
        let neighbours = (0..<300).map { row in
            undirected.outRange(row).map { Int(undirected.outTargets[$0]) }
                + undirected.inRange(row).map { Int(undirected.inSources[$0]) }
        }
        var steps: [(Int, Int)] = []
        var node = (0..<300).first { !neighbours[$0].isEmpty }!
        for _ in 0..<1500 {
            let next = neighbours[node].randomElement(using: &generator)!
            steps.append((node, next))
            node = next
        }
        let split = EdgeSplit(graph(300, steps), fraction: 0.2, seed: 1)
        let heldOut = DirectedGraph(ids: split.train.ids, edges: split.heldOut)
        let scores = HeldOutScores(
            heldOut, train: split.train, scorer: DegreeScorer(split.train), withReverse: true)
        let metrics = Metric.all(scores, groups: EdgeGroups(heldOut, train: split.train))
        #expect(metrics[Metric.directionAccuracy]! < 0.4)
    }

    @Test func findsADirectionThatIsThere() throws {
        var generator = SeededGenerator(seed: 5)
        // Edges lead from one of ten blocks to the next, never back.
        let pairs = (0..<2400).map { _ in
            let source = generator.uniform(below: 360)
            return (source, (source / 40 + 1) * 40 + generator.uniform(below: 40))
        }
        let evaluation = try Evaluation.run(graph(400, pairs), options: quick([.singleEmbedding, .degrees]))
        #expect(evaluation.means("embedding")[Metric.directionAccuracy]! > 0.9)
        #expect(evaluation.means("embedding")[Metric.directionAUC]! > 0.9)
        #expect(evaluation.means("singleEmbedding")[Metric.directionAccuracy]! < 0.8)
    }

    @Test func noTestEdgeHasAnInfluenceOnWhatIsMeasured() throws {
        let common = randomGraph(120, edges: 900, seed: 3)
        /// The vectors and the weights of the ranker where these edges came last.
        func trained(on extra: [(Int, Int)]) throws -> (Data, HybridWeights?) {
            let edges = common.edges + extra.map { Edge(source: UInt32($0.0), target: UInt32($0.1)) }
            let times = edges.indices.map { Int64($0 < common.edgeCount ? 1 : 2) }
            var options = quick([])
            options.split = .time
            var result: (Data, HybridWeights?)?
            _ = try Evaluation.run(DirectedGraph(ids: common.ids, edges: edges, times: times), options: options) {
                guard case .trained(let embedding, _) = $0 else { return }
                let bytes = [embedding.source, embedding.target].map { Data(bytes: $0.elements, count: $0.count * 4) }
                result = (bytes[0] + bytes[1], embedding.ranker?.weights)
            }
            return try #require(result)
        }
        let absent = (0..<120).flatMap { u in (0..<120).map { (u, $0) } }
            .filter { $0.0 != $0.1 && common.edge(from: $0.0, to: $0.1) == nil }
        let one = try trained(on: Array(absent.prefix(200)))
        let other = try trained(on: Array(absent.suffix(100)))
        #expect(one.0 == other.0)
        #expect(one.1 == other.1)
    }

    @Test func splitsByTimeAndByNode() throws {
        var options = quick([.popularity])
        options.training.epochs = 1
        let pairs = randomGraph(120, edges: 900, seed: 3).edges
        let timed = DirectedGraph(
            ids: randomGraph(120, edges: 1, seed: 1).ids, edges: pairs, times: pairs.indices.map { Int64($0 / 10) })
        options.split = .time
        let byTime = try Evaluation.run(timed, options: options).seeds[0]
        // Whole tens, as many as fit into 30 %.
        let last = pairs.count - Int((Double(pairs.count) * 0.3).rounded()) - 1
        #expect(byTime.testEdges["all"] == pairs.count - (last / 10 + 1) * 10)
        options.split = .node
        let byNode = try Evaluation.run(timed, options: options).seeds[0]
        #expect(byNode.testEdges["newSource"]! > 0 && byNode.testEdges["newTarget"]! > 0)
        #expect(byNode.testEdges["newSource"]! + byNode.testEdges["newTarget"]! >= byNode.testEdges["all"]!)
        #expect(byNode.methods["embedding"]!["hitRate@10.newSource"] != nil)
    }

    @Test func drawsAbsentPairsByTheirRule() {
        let train = randomGraph(60, edges: 500, seed: 1)
        let heldOut = randomGraph(60, edges: 300, seed: 2)
        let absent = AbsentPairs(train: train, heldOut: heldOut, seed: 4)
        #expect(absent.kinds.map(\.name) == ["uniform", "byDegree"])
        var means: [Double] = []
        for (_, pairs) in absent.kinds {
            #expect(pairs.edgeCount == heldOut.edgeCount && pairs.droppedSelfLoops == 0 && pairs.mergedRepeats == 0)
            for edge in pairs.edges {
                let (u, v) = (Int(edge.source), Int(edge.target))
                #expect(train.edge(from: u, to: v) == nil && heldOut.edge(from: u, to: v) == nil)
            }
            means.append(pairs.edges.reduce(0.0) { $0 + Double(train.inDegree(Int($1.target))) } / 300)
        }
        let real = heldOut.edges.reduce(0.0) { $0 + Double(train.inDegree(Int($1.target))) } / 300
        #expect(abs(means[1] - real) < 1)
    }

    @Test func refusesWhatCannotBeTested() {
        let graph = graph(3, [(0, 1), (1, 2)])
        var options = EvaluationOptions()
        let tooSmall = #expect(throws: TrainingError.self) { try Evaluation.run(graph, options: options) }
        #expect(tooSmall?.description.contains("give a larger graph") == true)
        options.split = .time
        let timeless = #expect(throws: TrainingError.self) { try Evaluation.run(graph, options: options) }
        #expect(timeless?.option == "split" && timeless?.description.contains("column time") == true)
        options.split = .node
        options.reveal = 0
        let unknown = #expect(throws: TrainingError.self) { try Evaluation.run(graph, options: options) }
        #expect(unknown?.option == "reveal" && unknown?.description.contains("give products") == true)
        options.reveal = 3
        options.split = .edge
        for (option, change) in [
            ("seeds", { (options: inout EvaluationOptions) in options.seeds = 0 }), ("reveal", { $0.reveal = -1 }),
        ] {
            var wrong = options
            change(&wrong)
            let error = #expect(throws: TrainingError.self) { try wrong.validate() }
            #expect(error?.option == option)
        }
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
