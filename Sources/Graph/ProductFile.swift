/// What is known of products beside their edges: named columns of text.
///
/// A product file is text as an ``EdgeFile`` is (CSV or tab-separated, plain or compressed). Its header names the column
/// `id` and any others, in any order; a line follows for each product that something is known of. A cell may be empty,
/// and may hold several values separated by `|`.
public struct ProductFile: Sendable {
    /// The ids of the products, in the order of the file.
    public let ids: IdentifierTable
    /// All columns but `id`, in the order of the file.
    public let columns: [Column]

    /// One column of text cells; cell i is of the product in row i of the ids.
    public struct Column: Sendable {
        /// The name in the header.
        public let name: String
        private var offsets = [0]
        private var bytes: [UInt8] = []

        /// What separates the values of a cell.
        public static let separator: Character = "|"

        fileprivate init(name: String) { self.name = name }

        fileprivate mutating func append(_ cell: UnsafeRawBufferPointer) {
            bytes.append(contentsOf: cell)
            offsets.append(bytes.count)
        }

        /// The number of cells.
        public var count: Int { offsets.count - 1 }

        /// The whole cell of a row, empty where nothing is known.
        public subscript(row: Int) -> String {
            String(decoding: bytes[offsets[row]..<offsets[row + 1]], as: UTF8.self)
        }

        /// The values in the cell of a row, in its order, without empty ones.
        public func values(_ row: Int) -> [Substring] { self[row].split(separator: Self.separator) }
    }

    /// The column of a name, nil where the file has none.
    public func column(_ name: String) -> Column? { columns.first { $0.name == name } }

    /// Reads a file. Ids differ from each other, cells are UTF-8 of at most ``longestCell`` bytes.
    ///
    /// - Throws: ``EdgeFileError``, which names the file, the line, the reason and the remedy.
    public static func load(_ file: String) throws(EdgeFileError) -> ProductFile {
        let records = try RecordReader(file: file)
        guard let header = try records.next() else {
            throw records.error("the file has no header", "begin it with a line such as: id,category")
        }
        let names = (0..<header.count).map { String(decoding: header[$0], as: UTF8.self) }
        let id = try idColumn(of: names, in: records)
        let others = names.indices.filter { $0 != id }
        var columns = others.map { Column(name: names[$0]) }
        var ids = IdentifierTable()
        while let record = try records.next() {
            try records.check(record, against: names.count)
            guard try records.add(record[id], of: "id", to: &ids).isNew else {
                throw records.error(
                    "the product \(RecordReader.quoted(record[id])) has a line already",
                    "give each product one line; several values of a cell are separated by \(Column.separator)")
            }
            for (index, field) in others.enumerated() {
                try check(record[field], of: names[field], in: records)
                columns[index].append(record[field])
            }
        }
        guard ids.count > 0 else {
            throw EdgeFileError(
                file: file, line: nil, reason: "the file has a header but no products",
                remedy: "add a line for each product")
        }
        return ProductFile(ids: ids, columns: columns)
    }

    /// The most bytes of a cell: a name or a list of them, not a text.
    public static let longestCell = 1024

    /// Where `id` is, after checking that every column has a name of its own.
    private static func idColumn(of names: [String], in records: RecordReader) throws(EdgeFileError) -> Int {
        guard let id = try records.column("id", of: names) else {
            throw records.error(
                "the header has no column id; the columns found are \(RecordReader.list(names))",
                "begin with a line such as id,category, in lower case, separated by commas or tabs")
        }
        for name in names {
            guard !name.isEmpty else { throw records.error("the header has a column without a name", "name it") }
            _ = try records.column(name, of: names)
        }
        return id
    }

    private static func check(
        _ cell: UnsafeRawBufferPointer, of column: String, in records: RecordReader
    ) throws(EdgeFileError) {
        guard cell.count <= longestCell else {
            throw records.error("the \(column) is longer than \(longestCell) bytes", "give shorter values")
        }
        guard String(validating: cell, as: UTF8.self) != nil else {
            throw records.error("the \(column) is not valid UTF-8", "convert the file to UTF-8")
        }
    }
}
