import Foundation
import Testing

@testable import Graph

@Suite struct ProductFileTests {
    @Test func readsColumnsInAnyOrder() throws {
        let products = try load("category,id,price\nshoes,a,12.5\n,b,\n\"hats, caps\",c,3\n")
        #expect((0..<products.ids.count).map { products.ids[$0] } == ["a", "b", "c"])
        #expect(products.columns.map(\.name) == ["category", "price"])
        let category = try #require(products.column("category"))
        #expect((0..<category.count).map { category[$0] } == ["shoes", "", "hats, caps"])
        #expect(products.column("price")?[0] == "12.5")
        #expect(products.column("id") == nil)
    }

    @Test func separatesTheValuesOfACell() throws {
        let products = try load("id\tcolours\na\tred|blue|\nb\t\nc\t||\n")
        let colours = try #require(products.column("colours"))
        #expect((0..<3).map { colours.values($0) } == [["red", "blue"], [], []])
    }

    @Test func acceptsAFileOfIdsAlone() throws {
        let products = try load("id\na\nb\n")
        #expect(products.ids.count == 2 && products.columns.isEmpty)
    }

    @Test(
        arguments: [
            ("", nil, "empty"),
            ("id,category\n", nil, "no products"),
            ("product,category\na,b\n", 1, "columns found are \"product\", \"category\""),
            ("id,id\na,b\n", 1, "the column \"id\" twice"),
            ("id,x,x\na,b,c\n", 1, "the column \"x\" twice"),
            ("id,,x\na,b,c\n", 1, "without a name"),
            ("id,x\na\n", 2, "1 field where the header has 2"),
            ("id,x\na,b\n\n", 3, "empty"),
            ("id,x\na,b\n,c\n", 3, "the id is empty"),
            ("id,x\na,b\nb,c\na,d\n", 4, "the product \"a\" has a line already"),
            ("id,x\na," + String(repeating: "x", count: 1025) + "\n", 2, "the x is longer than 1024 bytes"),
            ("id,x\n" + String(repeating: "x", count: 1025) + ",a\n", 2, "the id is longer than 1024 bytes"),
        ] as [(String, Int?, String)])
    func namesTheLineOfAFault(text: String, line: Int?, reason: String) throws {
        let error = try #require(throws: EdgeFileError.self) { try load(text) }
        #expect(error.line == line)
        #expect(error.reason.contains(reason), "\(error)")
        #expect(!error.remedy.isEmpty)
    }

    @Test func refusesCellsThatAreNotUTF8() throws {
        let error = try #require(throws: EdgeFileError.self) {
            try load(bytes: Array("id,x\na,b\nb,".utf8) + [0xC3, 0x28, 0x0A])
        }
        #expect(error.line == 3 && error.reason.contains("x is not valid UTF-8"))
    }
}

private func load(_ text: String) throws -> ProductFile { try load(bytes: Array(text.utf8)) }

private func load(bytes: [UInt8]) throws -> ProductFile {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("products-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(bytes).write(to: file)
    return try ProductFile.load(file.path)
}
