import LinearAlgebra
import Testing

@testable import Graph

/// A random graph, the same for the same seed.
func randomGraph(nodes: Int, edges: Int, seed: UInt64) -> DirectedGraph {
    var generator = SeededGenerator(seed: seed)
    let edges = (0..<edges).map { _ in
        Edge(
            source: UInt32(generator.uniform(below: nodes)), target: UInt32(generator.uniform(below: nodes)),
            weight: 0.5 + generator.uniform())
    }
    return DirectedGraph(ids: IdentifierTable((0..<nodes).map { "node \($0)" }), edges: edges)
}

@Suite struct DirectedGraphTests {
    @Test(arguments: 0..<20 as Range<UInt64>)
    func agreesWithADenseMatrix(seed: UInt64) {
        var generator = SeededGenerator(seed: seed, stream: 1)
        let nodes = 12
        let given = (0..<60).map { _ in
            Edge(
                source: UInt32(generator.uniform(below: nodes)), target: UInt32(generator.uniform(below: nodes)),
                weight: Float(1 + generator.uniform(below: 4)))
        }
        let graph = DirectedGraph(ids: IdentifierTable((0..<nodes).map(String.init)), edges: given)
        var dense = [[Float]](repeating: [Float](repeating: 0, count: nodes), count: nodes)
        for edge in given where edge.source != edge.target { dense[Int(edge.source)][Int(edge.target)] += edge.weight }

        let loops = given.count { $0.source == $0.target }
        #expect(graph.droppedSelfLoops == loops)
        #expect(graph.edgeCount + graph.mergedRepeats + loops == given.count)
        for u in 0..<nodes {
            #expect(graph.outDegree(u) == dense[u].count { $0 > 0 })
            #expect(graph.inDegree(u) == dense.count { $0[u] > 0 })
            for v in 0..<nodes {
                let edge = graph.edge(from: u, to: v)
                #expect((edge != nil) == (dense[u][v] > 0))
                if let edge {
                    #expect(graph.weights[edge] == dense[u][v])
                    #expect(graph.oneWay[edge] == (dense[v][u] == 0))
                }
            }
            for place in graph.inRange(u) {
                let edge = graph.edges[Int(graph.inEdges[place])]
                #expect(edge.source == graph.inSources[place])
                #expect(edge.target == UInt32(u))
            }
        }
    }

    @Test func findsIdsAgain() {
        let names = (0..<5000).map { "id-\($0)-\(String(repeating: "x", count: $0 % 19))" }
        let table = IdentifierTable(names)
        for (row, name) in names.enumerated() {
            #expect(table[row] == name)
            #expect(table.row(of: name) == row)
        }
        #expect(table.row(of: "absent") == nil)
        #expect(table.row(of: "") == nil)
    }

    @Test func splitsIntoDisjointPartsThatMakeUpTheGraph() {
        let graph = randomGraph(nodes: 50, edges: 600, seed: 3)
        let split = EdgeSplit(graph, fraction: 0.1, seed: 7)
        #expect(split.heldOut.count == Int((Double(graph.edgeCount) * 0.1).rounded()))
        #expect(Set(split.train.edges + split.heldOut) == Set(graph.edges))
        #expect(split.train.edgeCount + split.heldOut.count == graph.edgeCount)
        #expect(EdgeSplit(graph, fraction: 0.1, seed: 7).heldOut == split.heldOut)
        #expect(EdgeSplit(graph, fraction: 0.1, seed: 8).heldOut != split.heldOut)
    }

    @Test func holdsOutTheLatestEdgesAndNeverDividesATime() {
        let edges = (1...10).map { Edge(source: 0, target: UInt32($0)) }
        let ids = randomGraph(nodes: 11, edges: 1, seed: 1).ids
        func heldOut(_ fraction: Double, _ times: [Int64]) -> [UInt32] {
            let graph = DirectedGraph(ids: ids, edges: edges, times: times)
            return EdgeSplit(graph, latest: fraction, times: graph.times!).heldOut.map(\.target)
        }
        #expect(heldOut(0.3, [9, 8, 7, 6, 5, 4, 3, 2, 1, -5]) == [1, 2, 3])
        #expect(heldOut(0.3, [9, 9, 7, 7, 5, 4, 3, 2, 1, 0]) == [1, 2])
        #expect(heldOut(0.3, [9, 9, 9, 9, 5, 4, 3, 2, 1, 0]) == [])
        #expect(heldOut(0, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]) == [])
    }

    @Test func revealsAFewEdgesOfNewNodes() {
        let graph = randomGraph(nodes: 80, edges: 900, seed: 3)
        let split = EdgeSplit(graph, nodes: 0.25, reveal: 3, seed: 4)
        #expect(split.isNew.filter { $0 }.count == 20)
        for row in 0..<80 where split.isNew[row] { #expect(split.train.degree(row) == 3) }
        for edge in split.train.edges { #expect(!split.isNew[Int(edge.source)] || !split.isNew[Int(edge.target)]) }
        for edge in split.heldOut { #expect(split.isNew[Int(edge.source)] || split.isNew[Int(edge.target)]) }
        #expect(split.train.edgeCount + split.heldOut.count == graph.edgeCount)
        #expect(EdgeSplit(graph, nodes: 0.25, reveal: 3, seed: 4).heldOut == split.heldOut)
        #expect(EdgeSplit(graph, nodes: 0.25, reveal: 3, seed: 5).isNew != split.isNew)
        #expect(EdgeSplit(graph, fraction: 0.1, seed: 1).isNew.isEmpty)
    }

    @Test func leavesOneEdgeToLearnFrom() {
        let graph = randomGraph(nodes: 2, edges: 20, seed: 1)
        #expect(EdgeSplit(graph, fraction: 0.99, seed: 1).train.edgeCount == 1)
    }

    @Test func holdsOutEveryEdgeAboutEquallyOften() {
        let graph = randomGraph(nodes: 20, edges: 60, seed: 5)
        var counts = [Int](repeating: 0, count: graph.edgeCount)
        for seed in 0..<2000 as Range<UInt64> {
            for edge in EdgeSplit(graph, fraction: 0.2, seed: seed).heldOut {
                counts[graph.edge(from: Int(edge.source), to: Int(edge.target))!] += 1
            }
        }
        // 400 expected, with a standard deviation of 18.
        #expect(counts.allSatisfy { abs($0 - 400) < 90 })
    }
}
