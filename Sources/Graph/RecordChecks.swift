/// What files of edges and of products have in common.
extension RecordReader {
    /// Refuses a record that has not as many fields as the header.
    func check(_ fields: Fields, against count: Int) throws(EdgeFileError) {
        guard fields.count != count else { return }
        if fields.count == 1, fields[0].isEmpty { throw error("the row is empty", "remove it") }
        throw error(
            "the row has \(fields.count) field\(fields.count == 1 ? "" : "s") where the header has \(count)",
            "give every row the header's columns and quote fields that hold the separator")
    }

    /// Where a header has a column; nil where it has none of that name.
    func column(_ name: String, of names: [String]) throws(EdgeFileError) -> Int? {
        let found = names.indices.filter { names[$0] == name }
        guard found.count < 2 else {
            throw error("the header names the column \(Self.quoted(name.utf8)) twice", "remove or rename one of them")
        }
        return found.first
    }

    /// Adds the id in the column `column` to `ids`, after checking it; returns its row there and whether it is new.
    func add(
        _ id: UnsafeRawBufferPointer, of column: String, to ids: inout IdentifierTable
    ) throws(EdgeFileError) -> (row: UInt32, isNew: Bool) {
        guard !id.isEmpty else { throw error("the \(column) is empty", "give every node an id") }
        guard id.count <= EdgeFile.longestID else {
            throw error("the \(column) is longer than \(EdgeFile.longestID) bytes", "give the nodes shorter ids")
        }
        let added = ids.add(id)
        // An id seen before has been checked before.
        if added.isNew, String(validating: id, as: UTF8.self) == nil {
            throw error("the \(column) is not valid UTF-8", "convert the file to UTF-8")
        }
        return added
    }

    /// Names in quotes, which show blanks around them.
    static func list(_ names: [String]) -> String {
        let shown = names.prefix(mostNames).map { quoted($0.utf8) }.joined(separator: ", ")
        return names.count > mostNames ? "\(shown) and \(names.count - mostNames) more" : shown
    }

    /// The beginning of a field on one line.
    static func quoted(_ field: some Sequence<UInt8>) -> String {
        let bytes = Array(field.prefix(longestExcerpt + 1))
        let text = String(decoding: bytes.prefix(longestExcerpt), as: UTF8.self)
            .map { $0.isNewline || $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? " " : $0 }
        return "\"\(String(text))\(bytes.count > longestExcerpt ? "..." : "")\""
    }

    /// Bytes of a field that an error repeats.
    private static let longestExcerpt = 40
    /// Columns that an error names.
    private static let mostNames = 8
}
