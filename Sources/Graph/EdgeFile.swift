internal import Glibc

/// Reads directed graphs from edge files.
///
/// An edge file is CSV (RFC 4180) or tab-separated text in UTF-8, plain or compressed with gzip or Zstandard (told by
/// the first bytes, not by the name). Its header names the columns `source` and `target` and, where they are there,
/// `weight`, `type` and `time`, in any order; a tab in the header makes it tab-separated. Other columns are ignored. A
/// byte order mark and CRLF line ends are accepted. Tab-separated fields know quotes only where the header is quoted.
/// Ids have at most ``longestID`` bytes, weights lie in ``possibleWeights``. A type is `purchase`, also where it is
/// empty, or `view`; a time is a 64-bit integer in any unit.
public enum EdgeFile {
    /// The purchases of an edge file; see ``graphs(of:)``.
    ///
    /// - Throws: ``EdgeFileError``, which names the file, the line, the reason and the remedy.
    public static func load(_ file: String) throws(EdgeFileError) -> DirectedGraph { try graphs(of: file).purchases }

    /// Reads the graphs of a file. Nodes are numbered in the order of their first appearance in the file, source before
    /// target, whatever the type of the edge.
    ///
    /// The whole edge list is held in memory, 12 bytes an edge, 20 where there are times, beside the ids.
    ///
    /// - Throws: ``EdgeFileError``, which names the file, the line, the reason and the remedy.
    public static func graphs(of file: String) throws(EdgeFileError) -> EdgeGraphs {
        let records = try RecordReader(file: file)
        guard let header = try records.next() else {
            throw records.error("the file has no header", "begin it with the line: source,target")
        }
        let columns = try Columns(header: header, in: records)
        var ids = IdentifierTable()
        var purchases = EdgeList()
        var views = EdgeList()
        while let record = try records.next() {
            let line = try columns.line(of: record, ids: &ids, in: records)
            if line.isView { views.append(line) } else { purchases.append(line) }
            guard purchases.edges.count + views.edges.count < Self.maximumEdges else {
                throw records.error("more than \(Self.maximumEdges) edges", "split the graph")
            }
        }
        func refusal(_ reason: String, _ remedy: String) -> EdgeFileError {
            EdgeFileError(file: file, line: nil, reason: reason, remedy: remedy)
        }
        guard !purchases.edges.isEmpty else {
            throw views.edges.isEmpty
                ? refusal("the file has a header but no edges", "add a line for each edge")
                : refusal("every edge is of the type view", "add edges of the type purchase")
        }
        let graphs = EdgeGraphs(purchases: purchases.graph(ids), views: views.graph(ids))
        guard graphs.purchases.edgeCount > 0 else {
            throw refusal("every edge is a self-loop", "give edges between different nodes")
        }
        return graphs
    }

    /// The most bytes of an id: what tables of products hold, told before the training rather than after it.
    public static let longestID = 1024
    /// The weights that an edge may have. Their ratios and the sums of billions of them stay far within `Float`.
    public static let possibleWeights: ClosedRange<Float> = 1e-12...1e12

    /// Rows are 32 bits wide, and every edge may bring two new nodes.
    private static let maximumEdges = Int(Int32.max)
}

/// What an edge file holds: two graphs over the same ids in the same rows.
public struct EdgeGraphs: Sendable {
    /// The edges of the type `purchase`: what is bought after, or because of, what. At least one.
    public let purchases: DirectedGraph
    /// The edges of the type `view`: what is looked at together. None where the file has no types.
    public let views: DirectedGraph

    /// Graphs over the same ids.
    public init(purchases: DirectedGraph, views: DirectedGraph) {
        precondition(purchases.nodeCount == views.nodeCount, "two graphs over the same ids")
        self.purchases = purchases
        self.views = views
    }
}

/// One line of an edge file.
private struct EdgeLine {
    let edge: Edge
    let isView: Bool
    /// Nil where the file has no times.
    let time: Int64?
}

/// The edges of one type, in the order of the file.
private struct EdgeList {
    var edges: [Edge] = []
    var times: [Int64] = []

    mutating func append(_ line: EdgeLine) {
        edges.append(line.edge)
        if let time = line.time { times.append(time) }
    }

    func graph(_ ids: IdentifierTable) -> DirectedGraph {
        DirectedGraph(ids: ids, edges: edges, times: times.isEmpty ? nil : times)
    }
}

/// Where the columns lie, and how a record becomes an edge.
private struct Columns {
    private let source: Int
    private let target: Int
    private let weight: Int?
    private let type: Int?
    private let time: Int?
    private let count: Int

    init(header: Fields, in records: RecordReader) throws(EdgeFileError) {
        let names = (0..<header.count).map { String(decoding: header[$0], as: UTF8.self) }
        func required(_ name: String) throws(EdgeFileError) -> Int {
            if let found = try records.column(name, of: names) { return found }
            throw records.error(
                "the header has no column \(name); the columns found are \(RecordReader.list(names))",
                "begin with the line source,target or source,target,weight, in lower case, separated by commas or tabs")
        }
        source = try required("source")
        target = try required("target")
        weight = try records.column("weight", of: names)
        type = try records.column("type", of: names)
        time = try records.column("time", of: names)
        count = names.count
    }

    func line(
        of fields: Fields, ids: inout IdentifierTable, in records: RecordReader
    ) throws(EdgeFileError) -> EdgeLine {
        try records.check(fields, against: count)
        let sourceRow = try records.add(fields[source], of: "source", to: &ids).row
        let targetRow = try records.add(fields[target], of: "target", to: &ids).row
        let weight = try weight.map { column throws(EdgeFileError) in
            try Self.weight(fields[column], in: records)
        }
        let isView = try type.map { column throws(EdgeFileError) in try Self.isView(fields[column], in: records) }
        let time = try time.map { column throws(EdgeFileError) in try Self.time(fields[column], in: records) }
        return EdgeLine(
            edge: Edge(source: sourceRow, target: targetRow, weight: weight ?? 1), isView: isView ?? false, time: time)
    }

    private static func weight(
        _ field: UnsafeRawBufferPointer, in records: RecordReader
    ) throws(EdgeFileError) -> Float {
        let possible = EdgeFile.possibleWeights
        if let weight = parse(field), possible.contains(weight) { return weight }
        throw records.error(
            "the weight \(RecordReader.quoted(field)) is not a number from \(possible.lowerBound) to \(possible.upperBound)",
            "give positive numbers; scale all of them alike where they are too small or too large")
    }

    private static func isView(_ field: UnsafeRawBufferPointer, in records: RecordReader) throws(EdgeFileError) -> Bool
    {
        if field.isEmpty || field.elementsEqual("purchase".utf8) { return false }
        if field.elementsEqual("view".utf8) { return true }
        throw records.error(
            "the type \(RecordReader.quoted(field)) is neither purchase nor view", "give one of the two")
    }

    private static func time(_ field: UnsafeRawBufferPointer, in records: RecordReader) throws(EdgeFileError) -> Int64 {
        if field.count <= longestNumber, let time = Int64(String(decoding: field, as: UTF8.self)) { return time }
        throw records.error(
            "the time \(RecordReader.quoted(field)) is not an integer of 64 bits",
            "give every edge a time, for example Unix seconds"
        )
    }

    /// A decimal number, with the whole field used; `strtof` alone would take blanks, "inf" and hexadecimals too.
    private static func parse(_ field: UnsafeRawBufferPointer) -> Float? {
        let isDecimal = field.allSatisfy {
            (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x2B || $0 == 0x2D || $0 | 0x20 == 0x65
        }
        guard isDecimal, !field.isEmpty, field.count <= longestNumber else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: field.count + 1) { text in
            for (index, byte) in field.enumerated() { text[index] = CChar(bitPattern: byte) }
            text[field.count] = 0
            var end: UnsafeMutablePointer<CChar>?
            let value = strtof(text.baseAddress!, &end)
            return end == text.baseAddress! + field.count ? value : nil
        }
    }

    /// More digits than any printed Float or Double has.
    private static let longestNumber = 400
}
