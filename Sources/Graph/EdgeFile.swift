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
        func column(_ name: String) throws(EdgeFileError) -> Int? {
            let found = names.indices.filter { names[$0] == name }
            guard found.count < 2 else {
                throw records.error("the header names the column \(name) twice", "remove or rename one of them")
            }
            return found.first
        }
        func required(_ name: String) throws(EdgeFileError) -> Int {
            if let found = try column(name) { return found }
            throw records.error(
                "the header has no column \(name); the columns found are \(Self.list(names))",
                "begin with the line source,target or source,target,weight, in lower case, separated by commas or tabs")
        }
        source = try required("source")
        target = try required("target")
        weight = try column("weight")
        count = names.count
    }

    /// Names in quotes, which show blanks around them.
    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(mostNames).map { quoted($0.utf8) }.joined(separator: ", ")
        return names.count > mostNames ? "\(shown) and \(names.count - mostNames) more" : shown
    }

    /// The beginning of a field on one line.
    private static func quoted(_ field: some Sequence<UInt8>) -> String {
        let bytes = Array(field.prefix(longestExcerpt + 1))
        let text = String(decoding: bytes.prefix(longestExcerpt), as: UTF8.self)
            .map { $0.isNewline || $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? " " : $0 }
        return "\"\(String(text))\(bytes.count > longestExcerpt ? "..." : "")\""
    }

    func edge(
        of fields: Fields, ids: inout IdentifierTable, in records: RecordReader
    ) throws(EdgeFileError) -> Edge {
        guard fields.count == count else {
            if fields.count == 1, fields[0].isEmpty {
                throw records.error("the row is empty", "remove it")
            }
            throw records.error(
                "the row has \(fields.count) field\(fields.count == 1 ? "" : "s") where the header has \(count)",
                "give every row the header's columns and quote fields that hold the separator")
        }
        let sourceRow = try row(of: fields[source], "source", ids: &ids, in: records)
        let targetRow = try row(of: fields[target], "target", ids: &ids, in: records)
        let weight = try weight.map { column throws(EdgeFileError) in
            try Self.weight(fields[column], in: records)
        }
        return Edge(source: sourceRow, target: targetRow, weight: weight ?? 1)
    }

    private func row(
        of id: UnsafeRawBufferPointer, _ column: String, ids: inout IdentifierTable, in records: RecordReader
    ) throws(EdgeFileError) -> UInt32 {
        guard !id.isEmpty else { throw records.error("the \(column) is empty", "give every node an id") }
        guard id.count <= EdgeFile.longestID else {
            throw records.error(
                "the \(column) is longer than \(EdgeFile.longestID) bytes", "give the nodes shorter ids")
        }
        let (row, isNew) = ids.add(id)
        // An id seen before has been checked before.
        if isNew, String(validating: id, as: UTF8.self) == nil {
            throw records.error("the \(column) is not valid UTF-8", "convert the file to UTF-8")
        }
        return row
    }

    private static func weight(
        _ field: UnsafeRawBufferPointer, in records: RecordReader
    ) throws(EdgeFileError) -> Float {
        let possible = EdgeFile.possibleWeights
        if let weight = parse(field), possible.contains(weight) { return weight }
        throw records.error(
            "the weight \(quoted(field)) is not a number from \(possible.lowerBound) to \(possible.upperBound)",
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

    /// Bytes of a field that an error repeats.
    private static let longestExcerpt = 40
    /// Columns that an error names.
    private static let mostNames = 8
    /// More digits than any printed Float or Double has.
    private static let longestNumber = 400
}
