import CZlib
import CZstd
import Foundation
import Testing

@testable import Graph

@Suite struct EdgeFileTests {
    @Test func readsCommaSeparatedEdges() throws {
        let graph = try load("source,target\na,b\nb,c\na,c\n")
        #expect(ids(graph) == ["a", "b", "c"])
        #expect(pairs(graph) == ["a>b", "a>c", "b>c"])
        #expect(graph.weights == [1, 1, 1])
    }

    @Test func readsTabsByTheHeaderAndKeepsQuotesThere() throws {
        let graph = try load("source\ttarget\n\"a\tb,c\n")
        #expect(ids(graph) == ["\"a", "b,c"])
    }

    @Test func unquotesTabsWhereTheHeaderIsQuoted() throws {
        let graph = try load("\"source\"\t\"target\"\na\t\"b\tc\"\n\"b\tc\"\td\n")
        #expect(ids(graph) == ["a", "b\tc", "d"])
        #expect(pairs(try load("source\t\"target\"\na\tb\n")) == ["a>b"])
        #expect(pairs(try load("source\ttarget\tsize 12\"\na\tb\t12\"\n")) == ["a>b"])
    }

    @Test func takesColumnsInAnyOrderAndIgnoresOthers() throws {
        let graph = try load("note,weight,target,source\nx,2.5,b,a\n,1e2,c,a\n")
        #expect(pairs(graph) == ["a>b", "a>c"])
        #expect(graph.weights == [2.5, 100])
    }

    @Test func keepsViewsInAGraphOfTheirOwn() throws {
        let graphs = try loadGraphs("source,target,type,weight\na,b,purchase,1\nc,a,view,2\na,b,view,3\nb,c,,4\n")
        #expect(ids(graphs.purchases) == ["a", "b", "c"] && ids(graphs.views) == ["a", "b", "c"])
        #expect(pairs(graphs.purchases) == ["a>b", "b>c"] && graphs.purchases.weights == [1, 4])
        #expect(pairs(graphs.views) == ["a>b", "c>a"] && graphs.views.weights == [3, 2])
        #expect(graphs.purchases.times == nil)
        #expect(try loadGraphs("source,target\na,b\n").views.edgeCount == 0)
    }

    @Test func keepsTheEarliestTimeOfRepeats() throws {
        let graphs = try loadGraphs(
            "source,target,time,type\nb,c,-7,\na,b,30,\na,a,1,\na,b,20,\na,b,40,\na,c,9,view\n")
        #expect(pairs(graphs.purchases) == ["b>c", "a>b"])
        #expect(graphs.purchases.times == [-7, 20] && graphs.views.times == [9])
    }

    @Test func extendsAGraphByNodesWithoutEdges() throws {
        let graph = try load("source,target\na,b\nb,c\n")
        var names = graph.ids
        #expect(names.add("d") == 3 && names.add("a") == 0)
        let extended = graph.extended(to: names)
        #expect(ids(extended) == ["a", "b", "c", "d"] && pairs(extended) == pairs(graph))
        #expect(extended.degree(3) == 0 && extended.degree(1) == 2)
    }

    @Test func numbersNodesByFirstAppearance() throws {
        #expect(ids(try load("target,source\nz,y\nx,z\n")) == ["y", "z", "x"])
    }

    @Test func acceptsByteOrderMarkCarriageReturnsAndAMissingLastLineFeed() throws {
        let graph = try load("\u{FEFF}source,target\r\na,b\r\nb,c")
        #expect(ids(graph) == ["a", "b", "c"])
    }

    @Test func unquotesFields() throws {
        let graph = try load("source,target\n\"a, \"\"b\"\"\",\"two\nlines\"\n\"two\nlines\",c\n")
        #expect(ids(graph) == ["a, \"b\"", "two\nlines", "c"])
        #expect(graph.edgeCount == 2)
    }

    @Test func countsSelfLoopsAndAddsRepeats() throws {
        let graph = try load("source,target,weight\na,b,1\na,a,9\na,b,0.5\nb,a,1\n")
        #expect(graph.droppedSelfLoops == 1)
        #expect(graph.mergedRepeats == 1)
        #expect(graph.weights == [1.5, 1])
    }

    @Test func readsAFileLargerThanItsBuffers() throws {
        let lines = (0..<200_000).map { "node-\($0),node-\($0 + 1)\n" }
        let graph = try load("source,target\n" + lines.joined())
        #expect(graph.edgeCount == 200_000)
        #expect(graph.ids.row(of: "node-123456") == 123_456)
    }

    @Test(arguments: [
        ("from,target\na,b\n", 1, "no column source"),
        ("source,to\na,b\n", 1, "no column target"),
        ("source,source,target\na,b,c\n", 1, "twice"),
        ("source;target\na;b\n", 1, "columns found are \"source;target\""),
        ("\"source\";\"target\"\na;b\n", 1, "after a closing quote"),
        (" source, target\na,b\n", 1, "columns found are \" source\", \" target\""),
        ("Source\tTarget\na\tb\n", 1, "columns found are \"Source\", \"Target\""),
        ("\"a\nb\",target\na,b\n", 1, "columns found are \"a b\", \"target\""),
        ("1,2,3,4,5,6,7,8,9,10\n", 1, "\"7\", \"8\" and 2 more"),
        (String(repeating: "x", count: 41) + "\n", 1, "\"" + String(repeating: "x", count: 40) + "...\""),
        ("source,target\na,b\na\n", 3, "1 field where the header has 2"),
        ("source,target\na,b,c\n", 2, "3 fields where the header has 2"),
        ("source,target\na,b\n\nb,c\n", 3, "the row is empty"),
        ("source,target\n,b\n", 2, "the source is empty"),
        ("source,target\na,\n", 2, "the target is empty"),
        ("source,target\na,b\0\n", 2, "NUL"),
        ("source,target\na,b\na," + String(repeating: "x", count: 1025) + "\n", 3, "longer than 1024 bytes"),
        ("source,target\na,\"b\n", 2, "quoted field has no end"),
        ("source,target\n\"a\nb\",c\nx\n", 4, "1 field "),
        ("source,target\na,\"b\"c\n", 2, "after a closing quote"),
        ("source,target\n\"x\",a\"b\"\n", 2, "inside an unquoted field"),
        ("source,target,weight\na,b,0\n", 2, "weight \"0\""),
        ("source,target,weight\na,b,-1\n", 2, "weight \"-1\""),
        ("source,target,weight\na,b,nan\n", 2, "weight \"nan\""),
        ("source,target,weight\na,b,inf\n", 2, "weight \"inf\""),
        ("source,target,weight\na,b,1e99\n", 2, "weight \"1e99\" is not a number from 1e-12 to 1e+12"),
        ("source,target,weight\na,b,1e308\n", 2, "weight \"1e308\" is not a number from"),
        ("source,target,weight\na,b,1e-320\n", 2, "weight \"1e-320\" is not a number from"),
        ("source,target,weight\na,b,1.01e12\n", 2, "weight \"1.01e12\" is not a number from"),
        ("source,target,weight\na,b,0.99e-12\n", 2, "weight \"0.99e-12\" is not a number from"),
        ("source,target,weight\na,b,\"1\n2\"\n", 2, "weight \"1 2\" is not a number from"),
        ("source,target,weight\na,b,0x10\n", 2, "weight \"0x10\""),
        ("source,target,weight\na,b, 1\n", 2, "weight \" 1\""),
        ("source,target,weight\na,b,\n", 2, "weight \"\""),
        ("source,target,weight\na,b,1.5.2\n", 2, "weight \"1.5.2\""),
        ("source,target,type\na,b,View\n", 2, "type \"View\" is neither purchase nor view"),
        ("source,target,type,type\na,b,view,view\n", 1, "twice"),
        ("source,target,time\na,b,1\na,c,1.5\n", 3, "time \"1.5\" is not an integer"),
        ("source,target,time\na,b,\n", 2, "time \"\" is not"),
    ])
    func namesTheLineOfAFault(text: String, line: Int, reason: String) throws {
        let error = try #require(throws: EdgeFileError.self) { try load(text) }
        #expect(error.line == line)
        #expect(error.description.contains("edges.csv:\(line): "))
        #expect(error.reason.contains(reason), "\(error)")
        #expect(!error.remedy.isEmpty)
        #expect(!error.description.contains { $0.isNewline })
    }

    @Test(arguments: ["source;target\na;b\n", "\"source\";\"target\"\na;b\n", "Source,target\na,b\n"])
    func namesTheSeparatorsWhereTheHeaderIsNotUnderstood(text: String) throws {
        let error = try #require(throws: EdgeFileError.self) { try load(text) }
        #expect(error.remedy.contains("commas or tabs"))
    }

    @Test func acceptsWeightsAtTheEndsOfTheirRange() throws {
        #expect(try load("source,target,weight\na,b,1e-12\nb,a,1e12\n").weights == [1e-12, 1e12])
    }

    @Test func refusesIdsThatAreNotUTF8() throws {
        let error = try #require(throws: EdgeFileError.self) {
            try load(bytes: Array("source,target\na,b\nc,".utf8) + [0xC3, 0x28, 0x0A])
        }
        #expect(error.line == 3)
        #expect(error.reason.contains("target is not valid UTF-8"))
    }

    @Test(arguments: [
        ("", "the file is empty"), ("source,target\n", "no edges"), ("source,target\na,a\n", "self-loop"),
        ("source,target,type\na,b,view\n", "every edge is of the type view"),
    ])
    func refusesFilesWithoutEdges(text: String, reason: String) throws {
        let error = try #require(throws: EdgeFileError.self) { try load(text) }
        #expect(error.reason.contains(reason), "\(error)")
    }

    @Test func namesAFileThatCannotBeRead() throws {
        for path in ["/does/not/exist.csv", "/"] {
            let error = try #require(throws: EdgeFileError.self) { try EdgeFile.load(path) }
            #expect(error.description.hasPrefix(path + ": cannot read the file"))
        }
    }

    @Test(arguments: [
        ("BZh91AY&SY", "compressed with bzip2"), ("\u{FD}7zXZ\0", "compressed with xz"),
        ("PK\u{3}\u{4}\u{14}", "zip archive"), ("7z\u{BC}\u{AF}\u{27}\u{1C}", "7z archive"), ("PAR1", "Parquet"),
        ("\u{FF}\u{FE}s\0o\0", "UTF-16"), ("\u{FE}\u{FF}\0s\0o", "UTF-16"),
    ])
    func namesFormatsThatItDoesNotRead(latin1: String, name: String) throws {
        let bytes = latin1.unicodeScalars.map { UInt8($0.value) }
        let error = try #require(throws: EdgeFileError.self) { try load(bytes: bytes + bytes) }
        #expect(error.reason.contains(name) && error.line == nil, "\(error)")
    }

    // MARK: Compression

    @Test(arguments: [gzip, zstandard])
    func readsCompressedFiles(pack: @Sendable ([UInt8]) -> [UInt8]) throws {
        let text = "source,target\n" + (0..<100_000).map { "n\($0 % 977),m\($0 % 1009)\n" }.joined()
        let plain = try load(text)
        let packed = try load(bytes: pack(Array(text.utf8)))
        #expect(packed.outTargets == plain.outTargets)
        #expect(packed.mergedRepeats == plain.mergedRepeats)
    }

    @Test(arguments: [gzip, zstandard])
    func readsSeveralCompressedPartsInARow(pack: @Sendable ([UInt8]) -> [UInt8]) throws {
        let graph = try load(bytes: pack(Array("source,target\na,".utf8)) + pack(Array("b\nb,c\n".utf8)))
        #expect(pairs(graph) == ["a>b", "b>c"])
    }

    @Test(arguments: [gzip, zstandard])
    func refusesTruncatedAndDamagedCompression(pack: @Sendable ([UInt8]) -> [UInt8]) throws {
        let text = "source,target\n" + (0..<1000).map { "n\($0),m\($0 * 7919 % 1000)\n" }.joined()
        let packed = pack(Array(text.utf8))
        for count in [20, packed.count / 2, packed.count - 1] {
            let error = try #require(throws: EdgeFileError.self) { try load(bytes: Array(packed[..<count])) }
            #expect(error.reason.contains("ends too early"), "\(count): \(error)")
        }
        var damaged = packed
        damaged[packed.count / 2] ^= 0xFF
        damaged[packed.count / 2 + 1] ^= 0xFF
        #expect(throws: EdgeFileError.self) { try load(bytes: damaged) }
    }
}

private func load(_ text: String) throws -> DirectedGraph { try load(bytes: Array(text.utf8)) }
private func load(bytes: [UInt8]) throws -> DirectedGraph { try loadGraphs(bytes: bytes).purchases }
private func loadGraphs(_ text: String) throws -> EdgeGraphs { try loadGraphs(bytes: Array(text.utf8)) }

/// Loads a file of these bytes, always named `edges.csv`: the name must not matter.
private func loadGraphs(bytes: [UInt8]) throws -> EdgeGraphs {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("edges-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("edges.csv")
    try Data(bytes).write(to: file)
    return try EdgeFile.graphs(of: file.path)
}

private func ids(_ graph: DirectedGraph) -> [String] { (0..<graph.ids.count).map { graph.ids[$0] } }

private func pairs(_ graph: DirectedGraph) -> [String] {
    graph.edges.map { "\(graph.ids[Int($0.source)])>\(graph.ids[Int($0.target)])" }
}

@Sendable private func gzip(_ bytes: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(
        &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    var input = bytes
    var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count))))
    let count = input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            deflate(&stream, Z_FINISH)
            return Int(stream.total_out)
        }
    }
    deflateEnd(&stream)
    return Array(output[..<count])
}

@Sendable private func zstandard(_ bytes: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
    let count = ZSTD_compress(&output, output.count, bytes, bytes.count, 3)
    return Array(output[..<count])
}
