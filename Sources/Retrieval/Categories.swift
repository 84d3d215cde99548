internal import Glibc
internal import Tables

/// The category of each product, and the products of each category. A product has one category or none.
///
/// The tensors of a table that has them, for n products of which m have one of c categories:
/// - `categories.names.offsets` U64 [c + 1] and `categories.names.bytes` U8: the names in UTF-8, in the order of bytes;
/// - `categories.ofRows` U32 [n]: the category of each row, ``none`` where it has none;
/// - `categories.offsets` U64 [c + 1] and `categories.rows` U32 [m]: the rows of each category, rising.
struct Categories {
    /// Stands for no category; one more is 0.
    static let none = UInt32.max

    private let names: StringColumn
    /// The category of each row.
    let ofRows: UnsafeBufferPointer<UInt32>
    private let offsets: UnsafeBufferPointer<UInt64>
    private let rows: UnsafeBufferPointer<UInt32>

    /// Takes the categories of a table of `count` products after checking them; nil where it has none.
    init?(_ table: Table, count: Int) throws(TableError) {
        guard let ofRows = table.tensorIfPresent(named: "categories.ofRows") else { return nil }
        names = try StringColumn(
            offsets: table.tensor(named: "categories.names.offsets"),
            bytes: table.tensor(named: "categories.names.bytes"))
        let isChecked = table.remembered(RelatedTable.checks) != nil
        let offsets = try table.tensor(named: "categories.offsets")
        let rows = try table.tensor(named: "categories.rows")
        self.ofRows = try ofRows.elements(as: UInt32.self, shape: [count])
        self.offsets = try offsets.elements(as: UInt64.self, shape: [names.count + 1])
        self.rows = try rows.elements(as: UInt32.self, shape: [nil])
        guard !isChecked else { return }
        for index in 1..<max(1, names.count) where !Self.precedes(names[index - 1], names[index]) {
            throw ofRows.error("belongs to names that are not in order at \(index)")
        }
        guard self.ofRows.allSatisfy({ $0 < names.count || $0 == Self.none }) else {
            throw ofRows.error("names a category beyond the \(names.count) that there are")
        }
        guard self.offsets[0] == 0, self.offsets.last == UInt64(self.rows.count),
            zip(self.offsets, self.offsets.dropFirst()).allSatisfy({ $0 <= $1 })
        else { throw offsets.error("does not rise from 0 to \(self.rows.count)") }
        try checkRows(rows)
    }

    /// Every product that has a category is among the rows of that one, once and in order.
    private func checkRows(_ tensor: TensorView) throws(TableError) {
        guard rows.count == ofRows.count(where: { $0 != Self.none }) else {
            throw tensor.error("has \(rows.count) rows, not as many as products have a category")
        }
        for category in 0..<UInt32(names.count) {
            let members = self.rows(of: category)
            guard members.allSatisfy({ $0 < ofRows.count && ofRows[Int($0)] == category }),
                zip(members, members.dropFirst()).allSatisfy({ $0 < $1 })
            else { throw tensor.error("does not hold the rows of category \(category) in order") }
        }
    }

    /// The number of categories.
    var count: Int { names.count }

    /// The number of products without a category.
    var uncategorised: Int { ofRows.count - rows.count }

    /// The products of one category, rising.
    func rows(of category: UInt32) -> UnsafeBufferPointer<UInt32> {
        let (start, end) = (Int(offsets[Int(category)]), Int(offsets[Int(category) + 1]))
        return UnsafeBufferPointer(rebasing: rows[start..<end])
    }

    /// The name of a category, in the mapped file.
    func name(of category: UInt32) -> UnsafeRawBufferPointer { names[Int(category)] }

    /// The category of a name; nil for an unknown one.
    func category(named name: UnsafeRawBufferPointer) -> UInt32? {
        var (low, high) = (0, names.count)
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(names[middle], name) { low = middle + 1 } else { high = middle }
        }
        return low < names.count && !Self.precedes(name, names[low]) ? UInt32(low) : nil
    }

    /// Whether a name comes before another in the order of their bytes.
    static func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let common = min(left.count, right.count)
        let order = common == 0 ? 0 : memcmp(left.baseAddress!, right.baseAddress!, common)
        return order != 0 ? order < 0 : left.count < right.count
    }
}
