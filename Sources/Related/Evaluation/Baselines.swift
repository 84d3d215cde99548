internal import Foundation
internal import Graph
internal import Learning
internal import LinearAlgebra

/// Scores each target alike for every source: by its in-degree in the train graph.
struct PopularityScorer: TargetScorer {
    private let inDegrees: [Float]

    init(_ graph: DirectedGraph) {
        inDegrees = (0..<graph.nodeCount).map { Float(graph.inDegree($0)) }
    }

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        for index in 0..<sources.count {
            (scores + index * inDegrees.count).update(from: inDegrees, count: inDegrees.count)
        }
    }
}

/// Scores a direction by degrees alone: `f(u,v) = log(1 + outdegree u) + log(1 + indegree v)`. As a ranking it is that of
/// popularity.
struct DegreeScorer: TargetScorer {
    private let outDegrees: [Float]
    private let inDegrees: [Float]

    init(_ graph: DirectedGraph) {
        outDegrees = (0..<graph.nodeCount).map { log1p(Float(graph.outDegree($0))) }
        inDegrees = (0..<graph.nodeCount).map { log1p(Float(graph.inDegree($0))) }
    }

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        for (index, source) in sources.enumerated() {
            for target in inDegrees.indices {
                scores[index * inDegrees.count + target] = outDegrees[source] + inDegrees[target]
            }
        }
    }
}
