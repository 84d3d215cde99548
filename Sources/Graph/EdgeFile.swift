internal import Glibc

/// Reads directed graphs from edge files.
///
/// An edge file is CSV (RFC 4180) or tab-separated text in UTF-8, plain or compressed with gzip or Zstandard (told by
/// the first bytes, not by the name). Its header names the columns `source` and `target` and, if there is one,
/// `weight`, in any order; a tab in the header makes it tab-separated. Other columns are ignored. A byte order mark
/// and CRLF line ends are accepted. Tab-separated fields know quotes only where the header is quoted. Ids have at most
/// ``longestID`` bytes, weights lie in ``possibleWeights``.
public enum EdgeFile {
    /// Reads a graph. Nodes are numbered in the order of their first appearance in the file, source before target.
    ///
    /// The whole edge list is held in memory, 12 bytes an edge, beside the ids.
    ///
    /// - Throws: ``EdgeFileError``, which names the file, the line, the reason and the remedy.
    public static func load(_ file: String) throws(EdgeFileError) -> DirectedGraph {
        let records = try RecordReader(file: file)
        guard let header = try records.next() else {
            throw records.error("the file has no header", "begin it with the line: source,target")
        }
        let columns = try Columns(header: header, in: records)
        var ids = IdentifierTable()
        var edges: [Edge] = []
        while let record = try records.next() {
            let edge = try columns.edge(of: record, ids: &ids, in: records)
            edges.append(edge)
            guard edges.count < Self.maximumEdges else {
                throw records.error("more than \(Self.maximumEdges) edges", "split the graph")
            }
        }
        guard !edges.isEmpty else {
            throw EdgeFileError(
                file: file, line: nil, reason: "the file has a header but no edges",
                remedy: "add a line for each edge")
        }
        let graph = DirectedGraph(ids: ids, edges: edges)
        guard graph.edgeCount > 0 else {
            throw EdgeFileError(
                file: file, line: nil, reason: "every edge is a self-loop",
                remedy: "give edges between different nodes")
        }
        return graph
    }

    /// The most bytes of an id: what tables of products hold, told before the training rather than after it.
    public static let longestID = 1024
    /// The weights that an edge may have. Their ratios and the sums of billions of them stay far within `Float`.
    public static let possibleWeights: ClosedRange<Float> = 1e-12...1e12

    /// Rows are 32 bits wide, and every edge may bring two new nodes.
    private static let maximumEdges = Int(Int32.max)
}

/// Where the columns lie, and how a record becomes an edge.
private struct Columns {
    private let source: Int
    private let target: Int
    private let weight: Int?
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
        count = names.count
    }

    func edge(
        of fields: Fields, ids: inout IdentifierTable, in records: RecordReader
    ) throws(EdgeFileError) -> Edge {
        try records.check(fields, against: count)
        let sourceRow = try records.add(fields[source], of: "source", to: &ids).row
        let targetRow = try records.add(fields[target], of: "target", to: &ids).row
        let weight = try weight.map { column throws(EdgeFileError) in
            try Self.weight(fields[column], in: records)
        }
        return Edge(source: sourceRow, target: targetRow, weight: weight ?? 1)
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
