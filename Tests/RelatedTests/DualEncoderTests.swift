import Graph
import Learning
import LinearAlgebra
import Testing

@testable import Related

/// A graph over rows 0..<nodes, with rows as ids.
func graph(_ nodes: Int, _ pairs: [(Int, Int)]) -> DirectedGraph {
    DirectedGraph(
        ids: IdentifierTable((0..<nodes).map(String.init)),
        edges: pairs.map { Edge(source: UInt32($0.0), target: UInt32($0.1)) })
}

/// A random graph without structure.
func randomGraph(_ nodes: Int, edges: Int, seed: UInt64) -> DirectedGraph {
    var generator = SeededGenerator(seed: seed)
    return graph(nodes, (0..<edges).map { _ in (generator.uniform(below: nodes), generator.uniform(below: nodes)) })
}

@Suite struct DualEncoderTests {
    private let nodes = 7
    private let dimension = 6

    /// The whole model: encoder with features, dropout of coordinates and rows, masked and weighted messages of purchases
    /// and views, softmax and direction.
    @Test(
        arguments: [0, 1, 2],
        [
            NeighbourhoodSampler.full, .uniform(fanout: 1), .degreeBiased(minimum: 2, maximum: 4),
            .walks(count: 2, length: 2),
        ])
    func gradientsOfTheWholeModelAgreeWithDifferences(layers: Int, sampler: NeighbourhoodSampler) {
        let pairs = [(0, 1), (0, 2), (1, 2), (2, 0), (3, 4), (4, 3), (5, 0), (1, 5)]
        let edges = pairs.enumerated().map {
            Edge(source: UInt32($1.0), target: UInt32($1.1), weight: 1 + Float($0) / 4)
        }
        let graph = DirectedGraph(ids: IdentifierTable((0..<nodes).map(String.init)), edges: edges)
        let views = RelatedTests.graph(nodes, [(0, 3), (3, 5), (5, 1)])
        let features = SparseMatrix(
            columns: 3, offsets: [0, 2, 2, 3, 4, 4, 5, 6], indices: [0, 1, 2, 0, 1, 2],
            values: [0.7, 0.7, 1, 1, 1, 1])
        let encoder = DualEncoder(
            nodeCount: nodes, dimension: dimension, layers: layers, kinds: 4,
            features: InputFeatures(features, hasRow: (0..<nodes).map { $0 != 2 }), seed: 3)
        // Larger inputs than those of a fresh encoder: differences of small ones drown in rounding.
        for parameter in encoder.input.parameters {
            for index in 0..<parameter.value.count { parameter.value.elements[index] *= 8 }
        }
        let messages = MessagePassing(
            EdgeGraphs(purchases: graph, views: views), sampler: sampler,
            masked: EdgeFold(seed: 4, count: 4, number: 1), silenced: Dropout(probability: 0.2, seed: 5), draws: 2,
            seed: 4)
        let noise = InputNoise(
            dropout: Dropout(probability: 0.3, seed: 9), rowDropout: Dropout(probability: 0.5, seed: 10))
        let logTemperature = Matrix(rows: 1, columns: 1)
        logTemperature[0, 0] = 1
        let scorer = PairScorer(
            source: encoder.source, target: encoder.target,
            sourceGradient: Matrix(rows: nodes, columns: dimension),
            targetGradient: Matrix(rows: nodes, columns: dimension),
            bias: Parameter(Matrix(rows: nodes, columns: 1)), logTemperature: Parameter(logTemperature))
        var batch = PairBatch()
        batch.append(source: 0, target: 2, weight: 1, directionWeight: 0.3)
        batch.append(source: 2, target: 0, weight: 1.5, directionWeight: 0)
        batch.append(source: 5, target: 0, weight: 1, directionWeight: 0.3)
        let negatives = SharedNegatives(rows: [1, 3, 4, 6], logExpectedCounts: [0.1, -0.2, 0, 0.3])
        let known = SparseMatrix(
            columns: nodes, offsets: graph.outOffsets, indices: graph.outTargets, values: graph.weights)
        let loss = {
            encoder.forward(messages, noise: noise)
            scorer.clearGradients()
            return SampledSoftmax(negatives: negatives, scorer: scorer, known: known, total: 3.5).backward(batch)
        }
        _ = loss()
        encoder.backward(source: scorer.sourceGradient, target: scorer.targetGradient, messages, noise)
        for (number, parameter) in encoder.parameters.enumerated() {
            let gradient = parameter.gradient.copy()
            // Walks of two steps may find no end at all in so small a graph.
            let isWalk = sampler == .walks(count: 2, length: 2)
            #expect(isWalk || (0..<gradient.count).contains { abs(gradient.elements[$0]) > 1e-4 }, "\(number)")
            for index in 0..<gradient.count {
                let original = parameter.value.elements[index]
                parameter.value.elements[index] = original + 4e-3
                let above = loss()
                parameter.value.elements[index] = original - 4e-3
                let below = loss()
                parameter.value.elements[index] = original
                let difference = (above - below) / 8e-3
                #expect(
                    abs(difference - gradient.elements[index]) < 2e-3 + 0.01 * abs(difference),
                    "parameter \(number), element \(index): \(gradient.elements[index]), by differences \(difference)")
            }
        }
    }

    @Test func rowsHaveLengthOneAndKeepTheReservedCoordinatesFree() {
        let graph = randomGraph(30, edges: 100, seed: 2)
        let encoder = DualEncoder(nodeCount: 30, dimension: 10, layers: 2, seed: 1)
        encoder.forward(MessagePassing(withoutViews(graph), sampler: .full, seed: 1), noise: nil)
        for output in [encoder.source, encoder.target] {
            for row in 0..<30 {
                #expect(abs((0..<10).reduce(Float(0)) { $0 + output[row, $1] * output[row, $1] } - 1) < 1e-4)
                #expect(output[row, 8] == 0 && output[row, 9] == 0)
            }
        }
    }

    @Test func messagesAreDividedByTheRootOfTheWeightedDegree() {
        let weighted = DirectedGraph(
            ids: IdentifierTable(["a", "b", "c", "d"]),
            edges: [
                Edge(source: 0, target: 1, weight: 2), Edge(source: 0, target: 2, weight: 1),
                Edge(source: 0, target: 3, weight: 3), Edge(source: 1, target: 2, weight: 2),
            ])
        let messages = MessagePassing(withoutViews(weighted), sampler: .full, seed: 1)
        let rows = Matrix([[1, 10], [2, 20], [3, 30], [4, 40]])
        let sum = Matrix(rows: 4, columns: 2)
        messages.operators[0].pass(rows, into: sum)
        // The mean weight is 2: a's neighbours weigh 1, 0.5 and 1.5, together 3.
        #expect(abs(sum[0, 0] - (2 + 0.5 * 3 + 1.5 * 4) / Float(3).squareRoot()) < 1e-5)
        #expect(abs(sum[1, 1] - 30) < 1e-4 && sum[2, 0] == 0 && sum[3, 1] == 0)
        messages.operators[1].pass(rows, into: sum)
        #expect(abs(sum[2, 0] - (0.5 * 1 + 1 * 2) / Float(1.5).squareRoot()) < 1e-5)
    }

    /// The messages of the graph's own rows are those of a sampler that takes all, and the way back is the transpose.
    @Test func fullMessagesAreThoseOfAFullSample() {
        let graph = randomGraph(60, edges: 400, seed: 3)
        let fold = EdgeFold(seed: 1, count: 5, number: 2)
        let rows = Matrix(rows: 60, columns: 8)
        var generator = SeededGenerator(seed: 2)
        for index in 0..<rows.count { rows.elements[index] = generator.normal() }
        for direction in [EdgeDirection.out, .in] {
            let full = FullMessages(graph, direction, masked: fold)
            let sampled = SampledMessages(graph, direction, sampler: .full, masked: fold, draws: 1, seed: 1)
            let (a, b) = (Matrix(rows: 60, columns: 8), Matrix(rows: 60, columns: 8))
            full.pass(rows, into: a)
            sampled.pass(rows, into: b)
            #expect((0..<a.count).allSatisfy { abs(a.elements[$0] - b.elements[$0]) < 1e-4 })
            full.passBack(rows, into: a)
            sampled.passBack(rows, into: b)
            #expect((0..<a.count).allSatisfy { abs(a.elements[$0] - b.elements[$0]) < 1e-4 })
        }
    }

    private func withoutViews(_ graph: DirectedGraph) -> EdgeGraphs {
        EdgeGraphs(purchases: graph, views: RelatedTests.graph(graph.nodeCount, []))
    }
}
