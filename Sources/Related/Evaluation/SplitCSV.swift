public import Graph

extension Evaluation {
    /// The split of the first seed as CSV, `source,target,part`, for others to repeat the figures with programs of their
    /// own. A part is `train`, `test`, or `absent-` and the kind of ``AbsentPairs``. Ids are quoted where RFC 4180 asks.
    ///
    /// - Throws: ``TrainingError`` as ``split(_:_:)`` does.
    public static func splitCSV(_ graph: DirectedGraph, _ options: EvaluationOptions) throws(TrainingError) -> String {
        let split = try split(graph, options)
        let heldOut = DirectedGraph(ids: graph.ids, edges: split.heldOut)
        let absent = AbsentPairs(train: split.train, heldOut: heldOut, seed: options.seed)
        let ids = (0..<graph.nodeCount).map { field(graph.ids[$0]) }
        var text = "source,target,part\n"
        let parts = [("train", split.train), ("test", heldOut)] + absent.kinds.map { ("absent-\($0.name)", $0.pairs) }
        for (part, edges) in parts {
            for edge in edges.edges { text += "\(ids[Int(edge.source)]),\(ids[Int(edge.target)]),\(part)\n" }
        }
        return text
    }

    private static func field(_ id: String) -> String {
        guard id.utf8.contains(where: { [0x22, 0x2C, 0x0A, 0x0D].contains($0) }) else { return id }
        return "\"" + id.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}
