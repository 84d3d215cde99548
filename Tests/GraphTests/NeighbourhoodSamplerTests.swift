import Foundation
import Testing

@testable import Graph

@Suite struct NeighbourhoodSamplerTests {
    private let graph = randomGraph(nodes: 40, edges: 300, seed: 11)

    @Test(arguments: [EdgeDirection.out, .in])
    func fullTakesEveryNeighbour(direction: EdgeDirection) {
        let sample = NeighbourhoodSampler.full.sample(graph, direction, seed: 1)
        for row in 0..<graph.nodeCount {
            let expected =
                direction == .out
                ? Array(graph.outTargets[graph.outRange(row)]) : Array(graph.inSources[graph.inRange(row)])
            #expect(Array(sample.nodes[sample.offsets[row]..<sample.offsets[row + 1]]) == expected)
        }
        #expect(sample.weights.sorted() == graph.weights.sorted())
    }

    @Test(arguments: [
        NeighbourhoodSampler.full, .uniform(fanout: 3), .degreeBiased(minimum: 2, maximum: 16),
        .walks(count: 4, length: 1),
    ])
    func neverUsesAMaskedEdge(sampler: NeighbourhoodSampler) {
        // The edges a > b and a > c, numbers 0 and 1, are masked; b > c is not.
        let ids = IdentifierTable(["a", "b", "c"])
        let small = DirectedGraph(
            ids: ids, edges: [Edge(source: 0, target: 1), Edge(source: 1, target: 2), Edge(source: 0, target: 2)])
        let masked = (0..<100).lazy.map { EdgeFold(seed: $0, count: 2, number: 0) }
            .first { $0.contains(0) && $0.contains(1) && !$0.contains(2) }!
        for seed in 0..<50 as Range<UInt64> {
            let out = sampler.sample(small, .out, masking: masked, seed: seed)
            #expect(out.offsets[1] == 0)
            #expect(Set(out.nodes[out.offsets[1]..<out.offsets[2]]) == [2])
            let into = sampler.sample(small, .in, masking: masked, seed: seed)
            #expect(Set(into.nodes[into.offsets[2]..<into.offsets[3]]) == [1])
            #expect(into.offsets[2] == 0)
        }
    }

    @Test func uniformDrawsEvenlyWithoutReplacement() {
        let row = (0..<graph.nodeCount).max { graph.outDegree($0) < graph.outDegree($1) }!
        var counts: [UInt32: Int] = [:]
        let draws = 6000
        for seed in 0..<UInt64(draws) {
            let sample = NeighbourhoodSampler.uniform(fanout: 3).sample(graph, .out, seed: seed)
            let nodes = sample.nodes[sample.offsets[row]..<sample.offsets[row + 1]]
            #expect(nodes.count == 3 && Set(nodes).count == 3)
            for node in nodes { counts[node, default: 0] += 1 }
        }
        let expected = Double(3 * draws) / Double(graph.outDegree(row))
        #expect(counts.count == graph.outDegree(row))
        #expect(counts.values.allSatisfy { abs(Double($0) - expected) < 5 * expected.squareRoot() })
    }

    @Test func biasedDrawsByDegree() {
        let row = (0..<graph.nodeCount).max { graph.outDegree($0) < graph.outDegree($1) }!
        let neighbours = graph.outTargets[graph.outRange(row)]
        let total = neighbours.reduce(0) { $0 + graph.degree(Int($1)) }
        var counts: [UInt32: Int] = [:]
        let draws = 6000
        for seed in 0..<UInt64(draws) {
            let sample = NeighbourhoodSampler.degreeBiased(minimum: 2, maximum: 2).sample(graph, .out, seed: seed)
            let nodes = sample.nodes[sample.offsets[row]..<sample.offsets[row + 1]]
            #expect(nodes.count == 2)
            for node in nodes { counts[node, default: 0] += 1 }
        }
        for node in neighbours {
            let expected = Double(2 * draws) * Double(graph.degree(Int(node))) / Double(total)
            #expect(abs(Double(counts[node, default: 0]) - expected) < 5 * expected.squareRoot())
        }
    }

    @Test func biasedSizeFollowsThePowerLaw() {
        let bias = DegreeBias(graph, .in, minimum: 4, maximum: 32)
        let logarithms = (0..<graph.nodeCount).reduce(0.0) { $0 + log(Double(max(graph.inDegree($1), 1))) }
        #expect(abs(bias.exponent - (1 + Double(graph.nodeCount) / logarithms)) < 1e-12)
        #expect(bias.size(degree: 0) == 32)
        #expect(bias.size(degree: 1) == 32)
        for degree in 1...200 {
            let formula = (32 * pow(Double(degree), -(bias.exponent - 1))).rounded()
            #expect(bias.size(degree: degree) == min(32, max(4, Int(formula))))
            #expect(bias.size(degree: degree + 1) <= bias.size(degree: degree))
        }
    }

    @Test func extendsSmallNeighbourhoodsToTwoAndThreeHops() {
        // A path a > b > c > d: from a, b is a neighbour, c two and d three edges away.
        let path = DirectedGraph(
            ids: IdentifierTable(["a", "b", "c", "d", "e"]),
            edges: [Edge(source: 0, target: 1), Edge(source: 1, target: 2), Edge(source: 2, target: 3)])
        let sample = NeighbourhoodSampler.degreeBiased(minimum: 30, maximum: 30).sample(path, .out, seed: 2)
        let first = sample.nodes[sample.offsets[0]..<sample.offsets[1]]
        #expect(first.count == 30)
        #expect(first.first == 1)
        #expect(first.count { $0 == 1 } == 1)
        #expect(Set(first) == [1, 2, 3])
        // From c all walks end in the dead end d.
        #expect(Array(sample.nodes[sample.offsets[2]..<sample.offsets[3]]) == [3])
        #expect(sample.offsets[5] == sample.offsets[3])
    }

    @Test func walksEndAsManyStepsAway() {
        // A ring of six: two steps on from 0 stands 2, and one step back 5.
        let ring = DirectedGraph(
            ids: IdentifierTable((0..<6).map(String.init)),
            edges: (0..<6).map { Edge(source: $0, target: ($0 + 1) % 6) })
        let ends = NeighbourhoodSampler.walks(count: 3, length: 2).sample(ring, .out, seed: 1)
        #expect(ends.nodes == (0..<6).flatMap { node in [UInt32](repeating: (node + 2) % 6, count: 3) })
        let before = NeighbourhoodSampler.walks(count: 1, length: 1).sample(ring, .in, seed: 1)
        #expect(before.nodes == [5, 0, 1, 2, 3, 4])
        #expect(NeighbourhoodSampler.walks(count: 2, length: 6).sample(ring, .out, seed: 1).nodes.isEmpty)
    }

    @Test func foldsAreDisjointAndAboutEqual() {
        for seed in 0..<5 as Range<UInt64> {
            let folds = (0..<10).map { EdgeFold(seed: seed, count: 10, number: $0) }
            let counts = folds.map { fold in (0..<20_000).count { fold.contains($0) } }
            #expect(counts.reduce(0, +) == 20_000)
            #expect(counts.allSatisfy { abs($0 - 2000) < 250 })
        }
    }

    @Test func aSampleIsAFunctionOfItsSeed() {
        let sampler = NeighbourhoodSampler.degreeBiased(minimum: 2, maximum: 8)
        #expect(sampler.sample(graph, .in, seed: 5).nodes == sampler.sample(graph, .in, seed: 5).nodes)
        #expect(sampler.sample(graph, .in, seed: 5).nodes != sampler.sample(graph, .in, seed: 6).nodes)
    }

    @Test func readsItsOwnDescription() {
        let samplers = [
            NeighbourhoodSampler.full, .uniform(fanout: 7), .degreeBiased(minimum: 4, maximum: 32),
            .walks(count: 9, length: 3),
        ]
        for sampler in samplers {
            #expect(NeighbourhoodSampler(sampler.description) == sampler)
        }
        for text in [
            "", "Full", "full:1", "uniform:", "uniform:0", "uniform:x", "biased:5:4", "biased:5", "uniform:65537",
            "walks:0:2", "walks:1",
        ] {
            #expect(NeighbourhoodSampler(text) == nil)
        }
    }
}
