internal import Graph
internal import Learning

/// Scores by counting weighted paths: row u of a product of sparse matrices.
struct PathScorer: TargetScorer {
    private let steps: [SparseMatrix]

    init(steps: [SparseMatrix]) { self.steps = steps }

    /// `A A^T A`: what those lead to who lead to the same as u.
    static func coCitation(_ graph: DirectedGraph) -> PathScorer {
        let forward = SparseMatrix(binary: graph)
        return PathScorer(steps: [forward, forward.transposed(), forward])
    }

    /// `A Din^-1 A^T Dout^-1/2 A`: the same, where common targets and busy sources count less.
    static func normalisedCoCitation(_ graph: DirectedGraph) -> PathScorer {
        let forward = SparseMatrix(binary: graph)
        var byTarget = forward.transposed()
        byTarget.scaleRows { row in 1 / Float(graph.inDegree(row)) }
        var bySource = forward
        bySource.scaleRows { row in 1 / Float(graph.outDegree(row)).squareRoot() }
        return PathScorer(steps: [forward, byTarget, bySource])
    }

    /// `S S` with S = A + A^T: the neighbours in common, direction forgotten.
    static func symmetricTwoHop(_ graph: DirectedGraph) -> PathScorer {
        let edges = graph.edges.flatMap {
            [Edge(source: $0.source, target: $0.target), Edge(source: $0.target, target: $0.source)]
        }
        let both = DirectedGraph(ids: graph.ids, edges: edges)
        let symmetric = SparseMatrix(
            columns: both.nodeCount, offsets: both.outOffsets, indices: both.outTargets, values: both.weights)
        return PathScorer(steps: [symmetric, symmetric])
    }

    func score(_ sources: ArraySlice<Int>, into scores: UnsafeMutablePointer<Float>) {
        let columns = steps[0].columns
        var current = Accumulator(columns)
        var next = Accumulator(columns)
        for (index, source) in sources.enumerated() {
            current.add(1, to: source)
            for step in steps {
                step.addProduct(of: current, to: &next)
                current.clear()
                swap(&current, &next)
            }
            (scores + index * columns).update(from: current.values, count: columns)
            current.clear()
        }
    }
}

/// A mostly empty vector that knows which elements were touched.
struct Accumulator {
    fileprivate(set) var values: [Float]
    private var isTouched: [Bool]
    fileprivate var touched: [Int] = []

    init(_ count: Int) {
        values = [Float](repeating: 0, count: count)
        isTouched = [Bool](repeating: false, count: count)
    }

    mutating func add(_ value: Float, to index: Int) {
        if !isTouched[index] {
            isTouched[index] = true
            touched.append(index)
        }
        values[index] += value
    }

    mutating func clear() {
        for index in touched {
            values[index] = 0
            isTouched[index] = false
        }
        touched.removeAll(keepingCapacity: true)
    }
}

extension SparseMatrix {
    /// The adjacency of a graph, every edge 1.
    init(binary graph: DirectedGraph) {
        self.init(
            columns: graph.nodeCount, offsets: graph.outOffsets, indices: graph.outTargets,
            values: [Float](repeating: 1, count: graph.edgeCount))
    }

    mutating func scaleRows(_ scale: (Int) -> Float) {
        for row in 0..<rows {
            for entry in offsets[row]..<offsets[row + 1] { values[entry] *= scale(row) }
        }
    }

    /// `result += vector * self`.
    fileprivate func addProduct(of vector: Accumulator, to result: inout Accumulator) {
        for row in vector.touched {
            let value = vector.values[row]
            for entry in offsets[row]..<offsets[row + 1] {
                result.add(value * values[entry], to: Int(indices[entry]))
            }
        }
    }
}
