internal import Graph
internal import Tables

/// The edges of a graph both ways, without ids and weights.
struct PathGraph: Sendable {
    /// The neighbours of every node on one side, ascending.
    struct Side: Sendable {
        let offsets: [Int]
        let nodes: [UInt32]

        @inline(__always)
        func range(_ node: Int) -> Range<Int> { offsets[node]..<offsets[node + 1] }
    }

    let out: Side
    let `in`: Side

    var nodeCount: Int { out.offsets.count - 1 }
    var edgeCount: Int { out.nodes.count }

    init(_ graph: DirectedGraph) {
        out = Side(offsets: graph.outOffsets, nodes: graph.outTargets)
        `in` = Side(offsets: graph.inOffsets, nodes: graph.inSources)
    }

    /// How many of a node's edges have their reverse in the graph.
    func mutualCount(_ node: Int) -> Int {
        var (leaving, entering) = (out.range(node), `in`.range(node))
        var count = 0
        while let target = leaving.first, let source = entering.first {
            if out.nodes[target] == `in`.nodes[source] { count += 1 }
            if out.nodes[target] <= `in`.nodes[source] { leaving.removeFirst() }
            if out.nodes[target] >= `in`.nodes[source] { entering.removeFirst() }
        }
        return count
    }
}

// MARK: - In the file of embeddings

extension PathGraph {
    private static let offsets = RelatedEmbeddings.graphPrefix + "offsets"
    private static let targets = RelatedEmbeddings.graphPrefix + "targets"

    /// `graph.offsets` U64 [n + 1] and `graph.targets` U32 [edges]: the targets of each node's edges, ascending.
    var tensors: [CarriedTensor] {
        [
            CarriedTensor(Self.offsets, shape: [out.offsets.count], out.offsets.map { UInt64($0) }),
            CarriedTensor(Self.targets, shape: [edgeCount], out.nodes),
        ]
    }

    /// The graph beside embeddings.
    ///
    /// - Throws: Where it is missing or not a graph of their products.
    init(_ embeddings: RelatedEmbeddings) throws(TableError) {
        guard let offsets = embeddings.extra(named: Self.offsets)?.elements(as: UInt64.self),
            let targets = embeddings.extra(named: Self.targets)?.elements(as: UInt32.self)
        else { throw embeddings.error(Self.offsets, "or '\(Self.targets)' is missing, or not U64 and U32") }
        guard offsets.count == embeddings.count + 1, offsets.first == 0, offsets.last == UInt64(targets.count),
            zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
        else { throw embeddings.error(Self.offsets, "does not cut '\(Self.targets)' by product") }
        let side = Side(offsets: offsets.map { Int($0) }, nodes: targets)
        for node in 0..<embeddings.count {
            let row = targets[side.range(node)]
            guard zip(row, row.dropFirst()).allSatisfy({ $0 < $1 }), row.last ?? 0 < embeddings.count else {
                throw embeddings.error(Self.targets, "is out of order in row \(node)")
            }
        }
        out = side
        `in` = side.transposed()
    }
}

extension PathGraph.Side {
    /// The same edges from their other ends, by a counting sort.
    fileprivate func transposed() -> Self {
        var offsets = [Int](repeating: 0, count: offsets.count)
        for node in nodes { offsets[Int(node) + 1] += 1 }
        for node in 1..<offsets.count { offsets[node] += offsets[node - 1] }
        var next = offsets
        var sources = [UInt32](repeating: 0, count: nodes.count)
        for source in 0..<offsets.count - 1 {
            for edge in range(source) {
                let target = Int(nodes[edge])
                sources[next[target]] = UInt32(source)
                next[target] += 1
            }
        }
        return Self(offsets: offsets, nodes: sources)
    }
}
