public import Tables

/// The categories of products, as a table holds them: see ``Categories``.
public struct CategoryTensors: Sendable {
    /// The number of categories.
    public var count: Int { nameOffsets.count - 1 }
    /// The number of products that have one.
    public var products: Int { rows.count }

    private let nameOffsets: [UInt64]
    private let nameBytes: [UInt8]
    let ofRows: [UInt32]
    private let offsets: [UInt64]
    private let rows: [UInt32]

    /// Takes the category of each product in the order of the table; nil where it has none.
    ///
    /// - Throws: Where a name is empty or longer than ``StringColumn/longestString`` bytes.
    public init(_ categoryOfRow: [String?]) throws(TableError) {
        let names = Set(categoryOfRow.lazy.compactMap(\.self)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for name in names where !(1...StringColumn.longestString).contains(name.utf8.count) {
            throw TableError(
                path: "categories", reason: "hold a name of \(name.utf8.count) bytes",
                remedy: "give names of 1 to \(StringColumn.longestString) bytes")
        }
        let numbers = Dictionary(uniqueKeysWithValues: zip(names, UInt32(0)...))
        let ofRows = categoryOfRow.map { $0.map { numbers[$0]! } ?? Categories.none }
        var offsets = [UInt64](repeating: 0, count: names.count + 1)
        for category in ofRows where category != Categories.none { offsets[Int(category) + 1] += 1 }
        for category in names.indices { offsets[category + 1] += offsets[category] }
        var rows = [UInt32](repeating: 0, count: Int(offsets.last!))
        var next = offsets
        for (row, category) in ofRows.enumerated() where category != Categories.none {
            rows[Int(next[Int(category)])] = UInt32(row)
            next[Int(category)] += 1
        }
        self.ofRows = ofRows
        self.offsets = offsets
        self.rows = rows
        nameBytes = names.flatMap(\.utf8)
        nameOffsets = names.reduce(into: [0]) { $0.append($0.last! + UInt64($1.utf8.count)) }
    }

    /// What a table with them has besides; nothing where no product has a category.
    var specs: [TensorSpec] {
        guard products > 0 else { return [] }
        return [
            TensorSpec("categories.names.offsets", .uint64, shape: [nameOffsets.count]),
            TensorSpec("categories.offsets", .uint64, shape: [offsets.count]),
            TensorSpec("categories.ofRows", .uint32, shape: [ofRows.count]),
            TensorSpec("categories.rows", .uint32, shape: [rows.count]),
            TensorSpec("categories.names.bytes", .uint8, shape: [nameBytes.count]),
        ]
    }

    func write(to writer: SafetensorsWriter) throws(TableError) {
        guard products > 0 else { return }
        try writer.write(nameOffsets, to: "categories.names.offsets")
        try writer.write(offsets, to: "categories.offsets")
        try writer.write(ofRows, to: "categories.ofRows")
        try writer.write(rows, to: "categories.rows")
        try writer.write(nameBytes, to: "categories.names.bytes")
    }
}
