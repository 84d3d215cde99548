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
        type = try column("type")
        time = try column("time")
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

    func line(
        of fields: Fields, ids: inout IdentifierTable, in records: RecordReader
    ) throws(EdgeFileError) -> EdgeLine {
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
        let isView = try type.map { column throws(EdgeFileError) in try Self.isView(fields[column], in: records) }
        let time = try time.map { column throws(EdgeFileError) in try Self.time(fields[column], in: records) }
        return EdgeLine(
            edge: Edge(source: sourceRow, target: targetRow, weight: weight ?? 1), isView: isView ?? false, time: time)
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

    private static func isView(_ field: UnsafeRawBufferPointer, in records: RecordReader) throws(EdgeFileError) -> Bool
    {
        if field.isEmpty || field.elementsEqual("purchase".utf8) { return false }
        if field.elementsEqual("view".utf8) { return true }
        throw records.error("the type \(quoted(field)) is neither purchase nor view", "give one of the two")
    }

    private static func time(_ field: UnsafeRawBufferPointer, in records: RecordReader) throws(EdgeFileError) -> Int64 {
        if field.count <= longestNumber, let time = Int64(String(decoding: field, as: UTF8.self)) { return time }
        throw records.error(
            "the time \(quoted(field)) is not an integer of 64 bits", "give every edge a time, for example Unix seconds"
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

    /// Bytes of a field that an error repeats.
    private static let longestExcerpt = 40
    /// Columns that an error names.
    private static let mostNames = 8
    /// More digits than any printed Float or Double has.
    private static let longestNumber = 400
}
