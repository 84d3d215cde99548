import Foundation
import Graph
import LinearAlgebra
import Tables
import Testing

@testable import Related

@Suite struct TrainingTests {
    /// Small and fast; the parameters matter only where a test says so.
    private func options(epochs: Int = 4, seed: UInt64 = 1, validFraction: Double = 0.1) -> TrainingOptions {
        var options = TrainingOptions()
        options.dimension = 12
        options.epochs = epochs
        options.negatives = 16
        options.seed = seed
        options.validFraction = validFraction
        return options
    }

    private func train(_ graph: DirectedGraph, _ options: TrainingOptions) throws -> DualEmbedding {
        try DualEmbeddingTrainer(graph, options: options).run()
    }

    private func bytes(_ embedding: DualEmbedding) -> Data {
        Data(bytes: embedding.source.elements, count: embedding.source.count * 4)
            + Data(bytes: embedding.target.elements, count: embedding.target.count * 4)
    }

    private func score(_ embedding: DualEmbedding, _ u: Int, _ v: Int) -> Float {
        (0..<embedding.source.columns).reduce(0) { $0 + embedding.source[u, $1] * embedding.target[v, $1] }
    }

    @Test(arguments: [
        NeighbourhoodSampler.full, .uniform(fanout: 2), .degreeBiased(minimum: 2, maximum: 6),
        .walks(count: 3, length: 2),
    ])
    func theSameSeedGivesTheSameBytesOnAnyNumberOfThreads(sampler: NeighbourhoodSampler) throws {
        let graph = randomGraph(600, edges: 3000, seed: 1)
        var options = options(epochs: 2)
        options.sampler = sampler
        defer { Parallelism.threads = 0 }
        Parallelism.threads = 1
        let one = bytes(try train(graph, options))
        Parallelism.threads = 2
        #expect(bytes(try train(graph, options)) == one)
        Parallelism.threads = 5
        #expect(bytes(try train(graph, options)) == one)
        options.seed = 2
        #expect(bytes(try train(graph, options)) != one)
    }

    @Test func lossFallsAndEdgesScoreAboveOtherPairs() throws {
        // Two rings: 0 > 1 > ... > 19 > 0, and the same again for 20...39.
        let ring = (0..<40).flatMap { node in
            [1, 2].map { (node, node / 20 * 20 + (node + $0) % 20) }
        }
        let embedding = try train(graph(40, ring), options(epochs: 60, validFraction: 0))
        let losses = embedding.report.losses
        #expect(losses.last! < 0.6 * losses[0])
        let isEdge = Set(ring.map { $0.0 * 40 + $0.1 })
        var right = 0
        for (u, v) in ring {
            let other = (0..<40).filter { $0 != u && !isEdge.contains(u * 40 + $0) }
            right += other.count { score(embedding, u, v) > score(embedding, u, $0) } > 35 ? 1 : 0
        }
        #expect(right > 70)
    }

    @Test func foldsTemperatureAndBiasesIntoTheVectors() throws {
        let embedding = try train(randomGraph(50, edges: 300, seed: 4), options())
        #expect(embedding.source.columns == 12 && embedding.target.columns == 12)
        for row in 0..<50 {
            #expect(embedding.source[row, 10] == 1)
            #expect(embedding.target[row, 11] == 1)
            let target = (0..<10).reduce(Float(0)) { $0 + embedding.target[row, $1] * embedding.target[row, $1] }
            #expect(abs(target - 1) < 1e-3)
        }
        #expect(Set((0..<50).map { embedding.target[$0, 10] }).count > 10)
    }

    @Test(arguments: [
        ("one edge", 2, [(0, 1)]),
        ("two edges", 3, [(0, 1), (1, 2)]),
        ("a star outwards", 20, (1..<20).map { (0, $0) }),
        ("a star inwards", 20, (1..<20).map { ($0, 0) }),
        ("all mutual", 4, [(0, 1), (1, 0), (2, 1), (1, 2), (3, 0), (0, 3)]),
        ("pieces and nodes without edges", 12, [(0, 1), (1, 2), (5, 6), (6, 5), (9, 8)]),
    ])
    func copesWithGraphsOfOddShape(name: String, nodes: Int, pairs: [(Int, Int)]) throws {
        for sampler in [NeighbourhoodSampler.full, .degreeBiased(minimum: 1, maximum: 4)] {
            for fraction in [0, 0.4] {
                var options = options(validFraction: fraction)
                options.sampler = sampler
                let embedding = try train(graph(nodes, pairs), options)
                #expect(embedding.ids.count == nodes)
                for matrix in [embedding.source, embedding.target] {
                    #expect((0..<matrix.count).allSatisfy { matrix.elements[$0].isFinite }, "\(name)")
                }
            }
        }
    }

    @Test func neverSeesTheEdgesOfTheTest() throws {
        let common = (0..<40).map { ($0, ($0 * 7 + 3) % 40) }.filter { $0.0 != $0.1 }
        func trained(_ extra: [(Int, Int)]) throws -> Data {
            let whole = graph(40, common + extra)
            let isExtra = Set(extra.map { $0.0 * 40 + $0.1 })
            let marks = whole.edges.map { isExtra.contains(Int($0.source) * 40 + Int($0.target)) }
            return bytes(try train(EdgeSplit(whole, heldOut: marks).train, options()))
        }
        #expect(try trained([(0, 1), (2, 9), (7, 30)]) == trained([(39, 0), (5, 1), (6, 1), (8, 1)]))
    }

    @Test func reportsProgressForEveryStep() throws {
        var seen: [TrainingProgress] = []
        let graph = randomGraph(30, edges: 150, seed: 1)
        let embedding = try DualEmbeddingTrainer(graph, options: options(epochs: 3)).run { seen.append($0) }
        #expect(seen.map(\.step) == (0..<seen.count / 10).flatMap { _ in 1...10 })
        #expect(seen.last!.secondsLeft == 0)
        // Three epochs to choose one of them, then all edges as often.
        let first = seen.prefix(30)
        #expect(seen.count == 30 + 10 * embedding.report.publishedEpoch && embedding.report.parameters.isRefitted)
        #expect(zip(first, first.dropFirst()).allSatisfy { $0.learningRate > $1.learningRate })
        #expect(embedding.report.valid.count == 3)
        #expect(embedding.report.graph.edges == graph.edgeCount)
    }

    @Test func namesOptionsThatAreOutOfRange() {
        let graph = graph(3, [(0, 1), (1, 2)])
        let faults: [(String, (inout TrainingOptions) -> Void)] = [
            ("dimension", { $0.dimension = 3 }), ("layers", { $0.layers = -1 }), ("epochs", { $0.epochs = 0 }),
            ("learning-rate", { $0.learningRate = 0 }), ("learning-rate", { $0.learningRate = .nan }),
            ("negatives", { $0.negatives = 0 }), ("dropout", { $0.dropout = 1 }),
            ("direction-weight", { $0.directionWeight = -1 }), ("direction-weight", { $0.directionWeight = 1e38 }),
            ("valid-fraction", { $0.validFraction = 1 }), ("sampler", { $0.sampler = .uniform(fanout: 0) }),
            ("sampler", { $0.sampler = .degreeBiased(minimum: 1, maximum: .max) }),
        ]
        for (name, spoil) in faults {
            var options = TrainingOptions()
            spoil(&options)
            let error = #expect(throws: TrainingError.self) { try options.validate() }
            #expect(error?.description.hasPrefix(name + " must ") == true)
            let same = #expect(throws: TrainingError.self) { try DualEmbeddingTrainer(graph, options: options) }
            #expect(same == error)
        }
        #expect(throws: Never.self) { try TrainingOptions().validate() }
    }

    @Test(arguments: [NeighbourhoodSampler.full, .degreeBiased(minimum: 2, maximum: 6)])
    func staysFiniteWithTheMostUnequalWeightsOfAnEdgeFile(sampler: NeighbourhoodSampler) throws {
        let (least, most) = (EdgeFile.possibleWeights.lowerBound, EdgeFile.possibleWeights.upperBound)
        var generator = SeededGenerator(seed: 3)
        let edges = randomGraph(60, edges: 400, seed: 2).edges.map {
            Edge(source: $0.source, target: $0.target, weight: generator.uniform(below: 8) == 0 ? most : least)
        }
        var options = options(epochs: 12)
        options.sampler = sampler
        options.directionWeight = 1000
        options.learningRate = 0.1
        let embedding = try train(DirectedGraph(ids: graph(60, []).ids, edges: edges), options)
        #expect(embedding.report.losses.allSatisfy { $0.isFinite })
    }

    @Test func stopsAtTheFirstLossThatIsNotFinite() throws {
        let edges = randomGraph(40, edges: 200, seed: 2).edges.enumerated().map {
            Edge(source: $1.source, target: $1.target, weight: $0 == 0 ? .infinity : 1)
        }
        let trainer = try DualEmbeddingTrainer(
            DirectedGraph(ids: graph(40, []).ids, edges: edges), options: options())
        var losses: [Float] = []
        let error = #expect(throws: TrainingError.self) { try trainer.run { losses.append($0.loss) } }
        #expect(losses.allSatisfy { $0.isFinite } && losses.count < 40)
        #expect(error?.option == nil)
        #expect(error?.reason.hasPrefix("the training diverges: the loss of epoch ") == true)
        #expect(error?.reason.contains("lower the learning-rate") == true)
    }

    @Test func idsOfEdgeFilesFitTables() {
        #expect(EdgeFile.longestID == StringColumn.longestString)
    }
}

@Suite struct DirectionTests {
    /// Accuracy of the direction of held-out one-way edges.
    private func accuracy(_ graph: DirectedGraph) throws -> Double {
        var options = EvaluationOptions()
        options.testFraction = 0.2
        options.training.dimension = 16
        options.training.epochs = 4
        options.training.negatives = 64
        options.training.validFraction = 0.1
        let split = EdgeSplit(graph, fraction: 0.2, seed: 1)
        let heldOut = DirectedGraph(ids: graph.ids, edges: split.heldOut)
        let embedding = try DualEmbeddingTrainer(split.train, options: options.training).run()
        let scores = HeldOutScores(
            heldOut, train: split.train, scorer: InnerProductScorer(source: embedding.source, target: embedding.target),
            withReverse: true)
        let metrics = Metric.all(scores, groups: EdgeGroups(heldOut, train: split.train))
        return try #require(metrics[Metric.directionAccuracy])
    }

    /// Steps of walks on an undirected graph have no direction: whoever finds one has seen the test.
    @Test func findsNoDirectionWhereThereIsNone() throws {
        var generator = SeededGenerator(seed: 5)
        let nodes = 400
        var neighbours = [[Int]](repeating: [], count: nodes)
        for _ in 0..<6000 {
            // Degrees of very different size, as in real sessions.
            let u = generator.uniform(below: generator.uniform(below: nodes) + 1)
            let v = generator.uniform(below: nodes)
            if u != v {
                neighbours[u].append(v)
                neighbours[v].append(u)
            }
        }
        var steps: [(Int, Int)] = []
        for start in 0..<nodes where !neighbours[start].isEmpty {
            var node = start
            for _ in 0..<12 {
                let next = neighbours[node][generator.uniform(below: neighbours[node].count)]
                steps.append((node, next))
                node = next
            }
        }
        let accuracy = try accuracy(graph(nodes, steps))
        // About 850 one-way edges: a standard deviation of 0.017.
        #expect(abs(accuracy - 0.5) < 0.06, "\(accuracy)")
    }

    /// With raw scores that say nothing, degrees decide, as far as their weights may be positive.
    @Test func theOffsetTellsDirectionByDegreesOnlyTheRightWayRound() {
        var generator = SeededGenerator(seed: 7)
        // Low rows lead to high ones: the lower a row, the larger its out-degree and the smaller its in-degree.
        let pairs = (0..<3000).map { _ in
            let ends = [generator.uniform(below: 200), generator.uniform(below: 200)].sorted()
            return (ends[0], ends[1])
        }
        let whole = graph(200, pairs)
        let split = EdgeSplit(whole, fraction: 0.1, seed: 1)
        let heldOut = DirectedGraph(ids: whole.ids, edges: split.heldOut)
        let offset = DirectionOffset(
            leads: [Float](repeating: 0, count: heldOut.edgeCount), of: heldOut, train: split.train)
        let right = heldOut.edges.count {
            offset.value(Int($0.source), in: split.train) > offset.value(Int($0.target), in: split.train)
        }
        #expect(Double(right) > 0.75 * Double(heldOut.edgeCount))
        // Ends that are alike in every edge: no weight may be found.
        let cycle = graph(60, (0..<60).map { ($0, ($0 + 1) % 60) })
        let held = graph(60, (0..<60).map { ($0, ($0 + 2) % 60) })
        let none = DirectionOffset(leads: [Float](repeating: 0, count: 60), of: held, train: cycle)
        #expect((0..<60).allSatisfy { abs(none.value($0, in: cycle)) < 1e-6 })
    }

    @Test func findsDirectionWhereItIs() throws {
        var generator = SeededGenerator(seed: 6)
        let edges = (0..<4000).map { _ in (generator.uniform(below: 200), 200 + generator.uniform(below: 100)) }
        #expect(try accuracy(graph(300, edges)) > 0.97)
    }
}
