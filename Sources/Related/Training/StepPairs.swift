internal import Graph
internal import Learning
internal import LinearAlgebra

/// The edges of a graph that supervise one step, in batches that bound its memory.
struct StepPairs {
    private let graph: DirectedGraph
    private let fold: EdgeFold
    private let directionWeight: Float
    private let perWeight: Float
    /// The sum of the pairs' weights, in units of the graph's mean weight.
    let totalWeight: Float

    /// Pairs of a batch, up to the last source's others.
    private static let pairsPerBatch = 1 << 18
    private static let rowsPerChunk = 4096

    /// - Parameters:
    ///   - fold: which edges supervise.
    ///   - directionWeight: the weight of the direction term of a one-way edge.
    init(_ graph: DirectedGraph, _ fold: EdgeFold, directionWeight: Float) {
        self.graph = graph
        self.fold = fold
        self.directionWeight = directionWeight
        perWeight = 1 / graph.meanWeight
        var sums = [Double](repeating: 0, count: graph.nodeCount / Self.rowsPerChunk + 1)
        sums.withUnsafeMutableBufferPointer { sums in
            let sums = sums.baseAddress
            parallelFor(count: graph.nodeCount, grain: Self.rowsPerChunk) { range in
                var sum = 0.0
                for number in graph.outOffsets[range.lowerBound]..<graph.outOffsets[range.upperBound]
                where fold.contains(number) { sum += Double(graph.weights[number]) }
                sums![range.lowerBound / Self.rowsPerChunk] = sum
            }
        }
        totalWeight = Float(sums.reduce(0, +)) * perWeight
    }

    /// Calls `body` with batch after batch.
    func forEachBatch(_ body: (PairBatch) -> Void) {
        var batch = PairBatch()
        for row in 0..<graph.nodeCount {
            for number in graph.outRange(row) where fold.contains(number) {
                batch.append(
                    source: UInt32(row), target: graph.outTargets[number], weight: graph.weights[number] * perWeight,
                    directionWeight: 0)
            }
            if batch.targets.count >= Self.pairsPerBatch {
                setDirections(&batch)
                body(batch)
                batch = PairBatch()
            }
        }
        setDirections(&batch)
        if !batch.targets.isEmpty { body(batch) }
    }

    /// Weighs the pairs whose reverse is no edge.
    private func setDirections(_ batch: inout PairBatch) {
        guard directionWeight > 0 else { return }
        let (sources, offsets, targets, weights) = (batch.sources, batch.offsets, batch.targets, batch.weights)
        batch.directionWeights.withUnsafeMutableBufferPointer { directionWeights in
            let directionWeights = directionWeights.baseAddress
            parallelFor(count: sources.count, grain: Self.rowsPerChunk) { range in
                for index in range {
                    for pair in offsets[index]..<offsets[index + 1]
                    where graph.edge(from: Int(targets[pair]), to: Int(sources[index])) == nil {
                        directionWeights![pair] = weights[pair] * directionWeight
                    }
                }
            }
        }
    }
}
