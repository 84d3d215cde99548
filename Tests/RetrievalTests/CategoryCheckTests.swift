import Tables
import TestSupport
import Testing

@testable import Retrieval

/// The category tensors of three products, to be spoiled one at a time: the first two are hats, the last has none.
private struct Parts {
    var nameOffsets: [UInt64] = [0, 4, 9]
    var nameBytes = Array("hatsshoes".utf8)
    var ofRows: [UInt32] = [0, 0, Categories.none]
    var offsets: [UInt64] = [0, 2, 2]
    var rows: [UInt32] = [0, 1]
    var attributes: [String: String] = [:]

    /// The error of opening a table of these parts.
    func error() throws -> String {
        let directory = TemporaryDirectory()
        let store = Store(path: directory.path)
        let embeddings = try RelatedEmbeddings(
            ids: ["a", "b", "c"], dimension: 1, source: [1, 2, 3], target: [1, 1, 1])
        let slots = try embeddings.withIDs { ids in Result { try IDIndex.build(ids) } }.get()
        let specs = [
            TensorSpec("ids.offsets", .uint64, shape: [4]), TensorSpec("ids.bytes", .uint8, shape: [3]),
            TensorSpec("ids.slots", .uint32, shape: [slots.count]),
            TensorSpec("source", .float32, shape: [3, 1]), TensorSpec("target", .float32, shape: [3, 1]),
            TensorSpec("lists.rows", .uint32, shape: [3, 0]), TensorSpec("lists.scores", .float32, shape: [3, 0]),
            TensorSpec("categories.names.offsets", .uint64, shape: [nameOffsets.count]),
            TensorSpec("categories.names.bytes", .uint8, shape: [nameBytes.count]),
            TensorSpec("categories.ofRows", .uint32, shape: [ofRows.count]),
            TensorSpec("categories.offsets", .uint64, shape: [offsets.count]),
            TensorSpec("categories.rows", .uint32, shape: [rows.count]),
        ]
        let contents = TableContents(kind: RelatedTable.kind, tensors: specs, buildID: "test", attributes: attributes)
        _ = try store.publish("t", contents) { writer throws(TableError) in
            try writer.write(embeddings.idOffsets, to: "ids.offsets")
            try writer.write(embeddings.idBytes, to: "ids.bytes")
            try writer.write(slots, to: "ids.slots")
            try writer.write(embeddings.source, to: "source")
            try writer.write(embeddings.target, to: "target")
            try writer.write(nameOffsets, to: "categories.names.offsets")
            try writer.write(nameBytes, to: "categories.names.bytes")
            try writer.write(ofRows, to: "categories.ofRows")
            try writer.write(offsets, to: "categories.offsets")
            try writer.write(rows, to: "categories.rows")
        }
        do {
            _ = try RelatedTable(store.open("t"))
            return "accepted"
        } catch {
            return "\(error)"
        }
    }
}

@Suite struct CategoryCheckTests {
    private func refusal(_ spoil: (inout Parts) -> Void) throws -> String {
        var parts = Parts()
        spoil(&parts)
        return try parts.error()
    }

    @Test func whatAFilterTrustsIsChecked() throws {
        #expect(try refusal { _ in } == "accepted")
        #expect(try refusal { $0.nameBytes = Array("shoeshats".utf8) }.contains("not in order at 1"))
        #expect(try refusal { $0.nameBytes[4] = 0x80 }.contains("not UTF-8"))
        #expect(try refusal { $0.nameOffsets = [0, 0, 9] }.contains("the empty string 0"))
        #expect(try refusal { $0.ofRows[0] = 2 }.contains("a category beyond the 2 that there are"))
        #expect(try refusal { $0.ofRows[2] = 1 }.contains("has 2 rows, not as many"))
        #expect(try refusal { $0.ofRows = [0, 0] }.contains("'categories.ofRows' has the shape [2]"))
        #expect(try refusal { $0.offsets = [0, 1, 2] }.contains("the rows of category 1 in order"))
        #expect(try refusal { $0.offsets = [0, 3, 2] }.contains("does not rise from 0 to 2"))
        #expect(try refusal { $0.offsets = [1, 2, 2] }.contains("does not rise from 0 to 2"))
        #expect(try refusal { $0.offsets = [0, .max, 2] }.contains("does not rise from 0 to 2"))
        #expect(try refusal { $0.offsets = [0, 2] }.contains("'categories.offsets' has the shape [2]"))
        #expect(try refusal { $0.rows = [1, 0] }.contains("the rows of category 0 in order"))
        #expect(try refusal { $0.rows = [0, 0] }.contains("the rows of category 0 in order"))
        #expect(try refusal { $0.rows = [0, 7] }.contains("the rows of category 0 in order"))
        #expect(try refusal { $0.rows = [0] }.contains("'categories.offsets' does not rise from 0 to 1"))
    }

    @Test func attributesThatQueriesTrustAreChecked() throws {
        #expect(try refusal { $0.attributes = ["ranker": "hybrid", "similar.dimension": "1"] } == "accepted")
        #expect(try refusal { $0.attributes = ["ranker": "best"] }.contains("the ranker 'best'"))
        for text in ["0", "2", "-1", "one", ""] {
            #expect(
                try refusal { $0.attributes = ["similar.dimension": text] }.contains(
                    "similar.dimension '\(text)', not 1 to 1"))
        }
    }

    @Test func namesThatCannotBePublishedAreRefused() throws {
        #expect(throws: TableError.self) { try CategoryTensors(["", nil]) }
        #expect(throws: TableError.self) { try CategoryTensors([String(repeating: "x", count: 1025)]) }
        #expect(try CategoryTensors([nil, nil]).specs.isEmpty)
    }
}
