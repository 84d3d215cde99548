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

    /// The whole model: encoder with dropout, masked and weighted messages, softmax and direction.
    @Test(arguments: [1, 2], [NeighbourhoodSampler.full, .uniform(fanout: 1), .degreeBiased(minimum: 2, maximum: 4)])
    func gradientsOfTheWholeModelAgreeWithDifferences(layers: Int, sampler: NeighbourhoodSampler) {
        let pairs = [(0, 1), (0, 2), (1, 2), (2, 0), (3, 4), (4, 3), (5, 0), (1, 5)]
        let edges = pairs.enumerated().map {
            Edge(source: UInt32($1.0), target: UInt32($1.1), weight: 1 + Float($0) / 4)
        }
        let graph = DirectedGraph(ids: IdentifierTable((0..<nodes).map(String.init)), edges: edges)
        let encoder = DualEncoder(nodeCount: nodes, dimension: dimension, layers: layers, seed: 3)
        // Larger inputs than those of a fresh encoder: differences of small ones drown in rounding.
        for index in 0..<encoder.parameters[0].value.count { encoder.parameters[0].value.elements[index] *= 8 }
        let messages = MessagePassing(
            graph, sampler: sampler, isMasked: (0..<8).map { $0 % 4 == 1 }, draws: 2, seed: 4)
        let dropout = Dropout(probability: 0.3, seed: 9)
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
            encoder.forward(messages, dropout: dropout)
            return SampledSoftmax(batch, negatives: negatives, scorer: scorer, known: known).backward()
        }
        _ = loss()
        encoder.backward(source: scorer.sourceGradient, target: scorer.targetGradient, messages, dropout)
        for (number, parameter) in encoder.parameters.enumerated() {
            let gradient = parameter.gradient.copy()
            #expect((0..<gradient.count).contains { abs(gradient.elements[$0]) > 1e-4 })
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
        encoder.forward(MessagePassing(graph, sampler: .full, seed: 1), dropout: nil)
        for output in [encoder.source, encoder.target] {
            for row in 0..<30 {
                #expect(abs((0..<10).reduce(Float(0)) { $0 + output[row, $1] * output[row, $1] } - 1) < 1e-4)
                #expect(output[row, 8] == 0 && output[row, 9] == 0)
            }
        }
    }

    @Test func messagesAreDividedByTheRootOfTheDegree() {
        let messages = MessagePassing(graph(4, [(0, 1), (0, 2), (0, 3), (1, 2)]), sampler: .full, seed: 1)
        #expect(messages.out.values.prefix(3).allSatisfy { abs($0 - 1 / Float(3).squareRoot()) < 1e-6 })
        #expect(messages.in.offsets == [0, 0, 1, 3, 4])
        #expect(abs(messages.in.values[1] - 1 / Float(2).squareRoot()) < 1e-6)
    }
}
