/// A directed edge between two rows of a graph.
public struct Edge: Hashable, Sendable {
    /// The row of the node that the edge leaves.
    public var source: UInt32
    /// The row of the node that the edge enters.
    public var target: UInt32
    /// How strong the edge is; positive and finite, 1 where nothing else is known.
    public var weight: Float

    /// An edge from one row to another.
    public init(source: UInt32, target: UInt32, weight: Float = 1) {
        self.source = source
        self.target = target
        self.weight = weight
    }
}

/// A directed graph in compressed sparse rows, both by source and by target.
///
/// Nodes are rows 0..<``nodeCount``. Edges are numbered 0..<``edgeCount`` by source, then by target; there are no
/// self-loops and no repeats. The graph does not change once made.
public struct DirectedGraph: Sendable {
    /// The ids of the nodes, by row.
    public let ids: IdentifierTable
    /// Where the edges that leave each row begin; `nodeCount + 1` entries.
    public let outOffsets: [Int]
    /// The target of each edge, ascending within a source.
    public let outTargets: [UInt32]
    /// The weight of each edge.
    public let weights: [Float]
    /// Where the edges that enter each row begin in ``inSources`` and ``inEdges``; `nodeCount + 1` entries.
    public let inOffsets: [Int]
    /// The sources of the edges that enter each row, ascending within a target.
    public let inSources: [UInt32]
    /// The numbers of the edges that enter each row, beside ``inSources``.
    public let inEdges: [UInt32]
    /// How many of the given edges were self-loops, which are left out.
    public let droppedSelfLoops: Int
    /// How many of the given edges repeated an earlier one, to which their weight was added.
    public let mergedRepeats: Int

    /// The number of nodes.
    public var nodeCount: Int { outOffsets.count - 1 }
    /// The number of edges.
    public var edgeCount: Int { outTargets.count }

    /// Makes the graph of the given edges. Self-loops are left out, the weights of repeats added.
    ///
    /// - Parameters:
    ///   - ids: the id of every node, also of those without an edge.
    ///   - edges: in any order; every row must be below `ids.count`.
    public init(ids: IdentifierTable, edges: [Edge]) {
        let nodeCount = ids.count
        precondition(
            edges.allSatisfy { Int($0.source) < nodeCount && Int($0.target) < nodeCount }, "an edge names no node")
        let loops = edges.reduce(0) { $0 + ($1.source == $1.target ? 1 : 0) }
        var sorted = Self.sortedWithoutLoops(edges, nodeCount: nodeCount)
        let repeats = Self.mergeRepeats(&sorted)

        self.ids = ids
        droppedSelfLoops = loops
        mergedRepeats = repeats
        outTargets = sorted.map(\.target)
        weights = sorted.map(\.weight)
        outOffsets = Self.offsets(sorted, nodeCount: nodeCount, by: { $0.source })
        inOffsets = Self.offsets(sorted, nodeCount: nodeCount, by: { $0.target })
        var next = inOffsets
        var inSources = [UInt32](repeating: 0, count: sorted.count)
        var inEdges = inSources
        for (number, edge) in sorted.enumerated() {
            let place = next[Int(edge.target)]
            next[Int(edge.target)] += 1
            inSources[place] = edge.source
            inEdges[place] = UInt32(number)
        }
        self.inSources = inSources
        self.inEdges = inEdges
    }

    /// The edges that leave a row, as a range of edge numbers.
    @inlinable public func outRange(_ row: Int) -> Range<Int> { outOffsets[row]..<outOffsets[row + 1] }
    /// The edges that enter a row, as a range of places in ``inSources`` and ``inEdges``.
    @inlinable public func inRange(_ row: Int) -> Range<Int> { inOffsets[row]..<inOffsets[row + 1] }
    /// The number of edges that leave a row.
    @inlinable public func outDegree(_ row: Int) -> Int { outOffsets[row + 1] - outOffsets[row] }
    /// The number of edges that enter a row.
    @inlinable public func inDegree(_ row: Int) -> Int { inOffsets[row + 1] - inOffsets[row] }
    /// The number of edges that touch a row.
    @inlinable public func degree(_ row: Int) -> Int { outDegree(row) + inDegree(row) }

    /// The number of the edge from one row to another, or nil when there is none.
    public func edge(from source: Int, to target: Int) -> Int? {
        var range = outRange(source)
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            let found = Int(outTargets[middle])
            if found == target { return middle }
            range = found < target ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    /// All edges, by number.
    public var edges: [Edge] {
        var edges: [Edge] = []
        edges.reserveCapacity(edgeCount)
        for row in 0..<nodeCount {
            for number in outRange(row) {
                edges.append(Edge(source: UInt32(row), target: outTargets[number], weight: weights[number]))
            }
        }
        return edges
    }

    /// By edge number, whether the graph lacks the reverse of the edge.
    public var oneWay: [Bool] {
        var result = [Bool](repeating: true, count: edgeCount)
        for row in 0..<nodeCount {
            for number in outRange(row) where edge(from: Int(outTargets[number]), to: row) != nil {
                result[number] = false
            }
        }
        return result
    }

    /// The share of edges whose reverse is there too; 0 for a graph without edges.
    public var reciprocity: Double {
        guard edgeCount > 0 else { return 0 }
        return Double(oneWay.reduce(0) { $0 + ($1 ? 0 : 1) }) / Double(edgeCount)
    }

    /// Counting sort by target, then by source: linear, and stable, so that the order of addition is that of the input.
    private static func sortedWithoutLoops(_ edges: [Edge], nodeCount: Int) -> [Edge] {
        let kept = edges.filter { $0.source != $0.target }
        let byTarget = sorted(kept, nodeCount: nodeCount) { $0.target }
        return sorted(byTarget, nodeCount: nodeCount) { $0.source }
    }

    @inline(__always)
    private static func sorted(_ edges: [Edge], nodeCount: Int, by key: (Edge) -> UInt32) -> [Edge] {
        var next = offsets(edges, nodeCount: nodeCount, by: key)
        var result = edges
        for edge in edges {
            let row = Int(key(edge))
            result[next[row]] = edge
            next[row] += 1
        }
        return result
    }

    private static func mergeRepeats(_ edges: inout [Edge]) -> Int {
        var kept = 0
        for edge in edges {
            if kept > 0, edges[kept - 1].source == edge.source, edges[kept - 1].target == edge.target {
                edges[kept - 1].weight += edge.weight
            } else {
                edges[kept] = edge
                kept += 1
            }
        }
        let repeats = edges.count - kept
        edges.removeLast(repeats)
        return repeats
    }

    @inline(__always)
    private static func offsets(_ edges: [Edge], nodeCount: Int, by key: (Edge) -> UInt32) -> [Int] {
        var offsets = [Int](repeating: 0, count: nodeCount + 1)
        for edge in edges { offsets[Int(key(edge)) + 1] += 1 }
        for row in 0..<nodeCount { offsets[row + 1] += offsets[row] }
        return offsets
    }
}
