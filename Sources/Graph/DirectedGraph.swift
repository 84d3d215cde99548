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
    /// When each edge was first seen, in whatever unit it was given in; nil where no times were given.
    public let times: [Int64]?
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

    /// Makes the graph of the given edges. Self-loops are left out, the weights of repeats added; of their times the
    /// earliest counts, so that whoever splits by time never tests what was known before.
    ///
    /// - Parameters:
    ///   - ids: the id of every node, also of those without an edge.
    ///   - edges: in any order; every row must be below `ids.count`.
    ///   - times: when each of `edges` was seen, in any unit; nil where that is unknown.
    public init(ids: IdentifierTable, edges: [Edge], times: [Int64]? = nil) {
        let nodeCount = ids.count
        precondition(
            edges.allSatisfy { Int($0.source) < nodeCount && Int($0.target) < nodeCount }, "an edge names no node")
        precondition(times.map { $0.count == edges.count } ?? true, "one time for each edge")
        let merged = MergedEdges(edges, times: times, nodeCount: nodeCount)
        self.ids = ids
        droppedSelfLoops = merged.droppedSelfLoops
        mergedRepeats = edges.count - merged.droppedSelfLoops - merged.targets.count
        outTargets = merged.targets
        weights = merged.weights
        self.times = merged.times
        outOffsets = merged.offsets
        var inOffsets = [Int](repeating: 0, count: nodeCount + 1)
        for target in merged.targets { inOffsets[Int(target) + 1] += 1 }
        for row in 0..<nodeCount { inOffsets[row + 1] += inOffsets[row] }
        var next = inOffsets
        var inSources = [UInt32](repeating: 0, count: merged.targets.count)
        var inEdges = inSources
        for row in 0..<nodeCount {
            for number in merged.offsets[row]..<merged.offsets[row + 1] {
                let target = Int(merged.targets[number])
                inSources[next[target]] = UInt32(row)
                inEdges[next[target]] = UInt32(number)
                next[target] += 1
            }
        }
        self.inOffsets = inOffsets
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

    /// Calls `body` with the neighbours of a row along one direction and the weights of the edges to them, in the order
    /// of the graph, without the masked edges.
    @inlinable @inline(__always)
    public func forEachNeighbour(
        of row: Int, _ direction: EdgeDirection, except masked: EdgeFold? = nil, _ body: (Int, Float) -> Void
    ) {
        switch direction {
        case .out:
            for number in outRange(row) where !(masked?.contains(number) ?? false) {
                body(Int(outTargets[number]), weights[number])
            }
        case .in:
            for place in inRange(row) {
                let number = Int(inEdges[place])
                if masked?.contains(number) ?? false { continue }
                body(Int(inSources[place]), weights[number])
            }
        }
    }

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

    /// The mean weight of the edges: the unit in which training measures weights.
    public var meanWeight: Float {
        guard edgeCount > 0 else { return 1 }
        // In double precision: beyond 2^24 edges a running Float sum would stand still.
        return Float(weights.reduce(0.0) { $0 + Double($1) } / Double(edgeCount))
    }

    /// The same edges among more nodes.
    ///
    /// - Parameter ids: those of this graph in the same rows, then others.
    public func extended(to ids: IdentifierTable) -> DirectedGraph {
        DirectedGraph(self, ids: ids)
    }

    private init(_ graph: DirectedGraph, ids: IdentifierTable) {
        precondition(ids.count >= graph.nodeCount, "the nodes of the graph must stay")
        let added = ids.count - graph.nodeCount
        self.ids = ids
        outOffsets = graph.outOffsets + [Int](repeating: graph.edgeCount, count: added)
        inOffsets = graph.inOffsets + [Int](repeating: graph.edgeCount, count: added)
        outTargets = graph.outTargets
        weights = graph.weights
        times = graph.times
        inSources = graph.inSources
        inEdges = graph.inEdges
        droppedSelfLoops = graph.droppedSelfLoops
        mergedRepeats = graph.mergedRepeats
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
}

/// Edges in the order of their numbers, without self-loops and repeats.
private struct MergedEdges {
    var offsets = [0]
    var targets: [UInt32] = []
    var weights: [Float] = []
    var times: [Int64]?
    let droppedSelfLoops: Int

    init(_ edges: [Edge], times given: [Int64]?, nodeCount: Int) {
        let order = Self.order(edges, nodeCount: nodeCount)
        droppedSelfLoops = edges.count - order.count
        offsets.reserveCapacity(nodeCount + 1)
        targets.reserveCapacity(order.count)
        weights.reserveCapacity(order.count)
        if given != nil { times = [] }
        for index in order {
            let edge = edges[Int(index)]
            while offsets.count <= Int(edge.source) { offsets.append(targets.count) }
            let isRepeat = targets.count > offsets[Int(edge.source)] && targets.last == edge.target
            if isRepeat {
                weights[weights.count - 1] += edge.weight
            } else {
                targets.append(edge.target)
                weights.append(edge.weight)
            }
            guard let given else { continue }
            let time = given[Int(index)]
            if isRepeat {
                times![targets.count - 1] = min(times![targets.count - 1], time)
            } else {
                times!.append(time)
            }
        }
        while offsets.count <= nodeCount { offsets.append(targets.count) }
    }

    /// The places of all edges but self-loops, by a counting sort by target, then by source: linear, and stable, so that
    /// repeats are added in the order of the input.
    private static func order(_ edges: [Edge], nodeCount: Int) -> [UInt32] {
        precondition(edges.count <= Int(UInt32.max), "edges are numbered in 32 bits")
        var places: [UInt32] = []
        places.reserveCapacity(edges.count)
        for (place, edge) in edges.enumerated() where edge.source != edge.target { places.append(UInt32(place)) }
        let byTarget = sorted(places, nodeCount: nodeCount) { edges[Int($0)].target }
        return sorted(byTarget, nodeCount: nodeCount) { edges[Int($0)].source }
    }

    @inline(__always)
    private static func sorted(_ places: [UInt32], nodeCount: Int, by key: (UInt32) -> UInt32) -> [UInt32] {
        var next = [Int](repeating: 0, count: nodeCount + 1)
        for place in places { next[Int(key(place)) + 1] += 1 }
        for row in 0..<nodeCount { next[row + 1] += next[row] }
        var result = places
        for place in places {
            let row = Int(key(place))
            result[next[row]] = place
            next[row] += 1
        }
        return result
    }
}
