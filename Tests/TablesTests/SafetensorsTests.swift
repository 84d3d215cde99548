import TestSupport
import Testing

@testable import Tables

/// The bytes of a safetensors file with this JSON, not padded, and this many bytes of data.
private func file(_ json: String, data count: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Array($0) } + json.utf8
        + (0..<count).map { UInt8(truncatingIfNeeded: $0) }
}

private func parse(_ bytes: [UInt8]) throws -> SafetensorsHeader {
    try bytes.withUnsafeBytes { try SafetensorsHeader(file: $0, path: "f") }
}

private func reason(_ bytes: [UInt8]) -> String {
    do {
        _ = try parse(bytes)
        return "accepted"
    } catch {
        return "\(error)"
    }
}

private func entry(_ name: String, _ type: String, _ shape: String, _ from: String, _ to: String) -> String {
    "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(from),\(to)]}"
}

@Suite struct SafetensorsHeaderTests {
    @Test func readsAForeignHeader() throws {
        let json = """
             {"b": {"shape": [2, 3], "data_offsets": [4, 28], "dtype": "F32"},\n\t"__metadata__": {"k\\u00e9\\ud83d\\ude00": "v\\"\\/"},
            "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, "e": {"dtype":"I64","shape":[0,7],"data_offsets":[28,28]},
            "s": {"dtype":"U8","shape":[],"data_offsets":[28,29]}}
            """.drop { $0 == " " }
        let header = try parse(file(String(json) + "   ", data: 29))
        #expect(header.entries.map(\.name) == ["a", "b", "e", "s"])
        #expect(header.entries.map(\.range) == [0..<4, 4..<28, 28..<28, 28..<29])
        #expect(header.entries.map(\.dataType) == [.bfloat16, .float32, .int64, .uint8])
        #expect(header.entries[1].shape == [2, 3])
        #expect(header.metadata == ["ké😀": "v\"/"])
    }

    @Test func emptyFileOfNoTensors() throws {
        #expect(try parse(file("{}", data: 0)).entries.isEmpty)
    }

    @Test(arguments: [
        ("", 0, "start with '{'"),
        (" {}", 0, "start with '{'"),
        ("[]", 0, "start with '{'"),
        ("{} x", 0, "goes on after its end"),
        ("{", 0, "lacks"),
        ("{\"a\"", 0, "lacks ':'"),
        ("{\"a\":1}", 0, "lacks '{'"),
        ("{\"a\":null}", 0, "lacks '{'"),
        ("{\"a", 0, "ends inside a string"),
        ("{\"a\\", 0, "ends inside a string"),
        ("{\"a\\q\":{}}", 0, "unknown escape"),
        ("{\"a\\u12\":{}}", 0, "bad \\u escape"),
        ("{\"\\ud800x\":{}}", 0, "surrogate"),
        ("{\"a\nb\":{}}", 0, "control character"),
        ("{" + entry("a", "U8", "1", "0", "1") + ",}", 1, "lacks"),
        ("{" + entry("a", "U8", "1", "0", "1") + "," + entry("a", "U8", "1", "1", "2") + "}", 2, "'a' twice"),
        ("{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}", 0, "metadata 'k' twice"),
        ("{\"__metadata__\":{\"k\":1}}", 0, "lacks"),
        ("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice"),
        ("{" + entry("a", "F8", "1", "0", "1") + "}", 1, "unknown type 'F8'"),
        ("{" + entry("a", "U8", "-1", "0", "1") + "}", 1, "unsigned integer"),
        ("{" + entry("a", "U8", "1.0", "0", "1") + "}", 1, "lacks ']'"),
        ("{" + entry("a", "U8", "01", "0", "1") + "}", 1, "starts with 0"),
        ("{" + entry("a", "U8", "", "", "") + "}", 1, "unsigned integer"),
        ("{" + entry("a", "U8", "1", "0", "1,2") + "}", 1, "more than 2 numbers"),
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "lacks dtype, shape or data_offsets"),
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "lacks dtype, shape or data_offsets"),
        ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":[]}}", 1, "'x' of tensor 'a'"),
        ("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "second time"),
        ("{" + entry("a", "U8", "2", "0", "1") + "}", 1, "1 bytes, its shape and type take 2"),
        ("{" + entry("a", "U8", "1", "1", "0") + "}", 1, "impossible size"),
        ("{" + entry("a", "U8", "1", "1", "2") + "}", 2, "starts at byte 1"),
        ("{" + entry("a", "U8", "2", "0", "2") + "}", 3, "take 2 bytes, the file has 3"),
        ("{" + entry("a", "U8", "3", "0", "3") + "}", 2, "take 3 bytes, the file has 2"),
        ("{" + entry("a", "U8", "2", "0", "2") + "," + entry("b", "U8", "2", "1", "3") + "}", 3, "starts at byte 1"),
        ("{" + entry("a", "U8", "1", "0", "1") + "," + entry("b", "U8", "1", "2", "3") + "}", 3, "starts at byte 2"),
        ("{" + entry("a", "F64", "2305843009213693952", "0", "0") + "}", 0, "impossible size"),
        ("{" + entry("a", "U8", "4294967296,4294967296", "0", "0") + "}", 0, "impossible size"),
        ("{" + entry("a", "U8", "18446744073709551615,18446744073709551615,0", "0", "0") + "}", 0, "impossible size"),
        ("{" + entry("a", "U8", "18446744073709551616", "0", "0") + "}", 0, "does not fit 64 bits"),
        ("{" + entry("a", "U8", "18446744073709551615", "0", "18446744073709551615") + "}", 0, "impossible size"),
        (
            "{" + entry("a", "U8", Array(repeating: "1", count: 33).joined(separator: ","), "0", "1") + "}", 1,
            "more than 32"
        ),
        ("{\"" + String(repeating: "n", count: 1025) + "\":{}}", 0, "more than 1024 bytes"),
    ])
    func refuses(json: String, data: Int, because expected: String) {
        let error = reason(file(json, data: data))
        #expect(error.contains(expected), "\(error)")
        #expect(error.hasPrefix("f: ") && error.contains("; "), "\(error)")
    }

    @Test func refusesBytesThatAreNotUTF8() {
        let json = Array("{\"a".utf8) + [0xff] + Array("\":{}}".utf8)
        let bytes = withUnsafeBytes(of: UInt64(json.count)) { Array($0) } + json
        #expect(reason(bytes).contains("not UTF-8"))
    }

    @Test func refusesImpossibleLengths() {
        #expect(reason([1, 2, 3]).contains("only 3 bytes"))
        for length in [UInt64(3), 1 << 24, 1 << 40, .max] {
            let bytes = withUnsafeBytes(of: length) { Array($0) } + Array("{}".utf8)
            #expect(reason(bytes).contains("claims \(length) bytes"))
        }
    }

    @Test func nestedMoreThanAHeaderIsRefusedWithoutRecursion() {
        let json = String(repeating: "{\"a\":", count: 100_000)
        #expect(reason(file(json, data: 0)).contains("'a' of tensor 'a'"))
    }
}

@Suite struct SafetensorsFileTests {
    private func write(
        _ tensors: [TensorSpec], metadata: [String: String] = [:], in directory: TemporaryDirectory,
        _ fill: (SafetensorsWriter) throws -> Void
    ) throws -> String {
        let writer = try SafetensorsWriter(
            Directory(path: directory.path).makeFile("t.safetensors"), tensors: tensors, metadata: metadata)
        try fill(writer)
        try writer.finish()
        return directory.path + "/t.safetensors"
    }

    private func roundTrip<Element: TensorElement & Equatable>(_ values: [Element]) throws {
        let directory = TemporaryDirectory()
        let spec = TensorSpec("x", Element.dataType, shape: [values.count / 2, 2])
        let path = try write([spec], in: directory) { try $0.write(values, to: "x") }
        let file = try SafetensorsFile(path: path)
        let view = try file.tensor(named: "x")
        #expect(Array(try view.elements(as: Element.self, shape: [nil, 2])) == values)
        #expect(view.shape == [values.count / 2, 2])
        withExtendedLifetime(file) {}
    }

    @Test func everyTypeComesBack() throws {
        try roundTrip([UInt8.min, 1, 2, .max])
        try roundTrip([Int8.min, 1, 2, .max])
        try roundTrip([UInt16.min, 1, 2, .max])
        try roundTrip([Int16.min, 1, 2, .max])
        try roundTrip([UInt32.min, 1, 2, .max])
        try roundTrip([Int32.min, 1, 2, .max])
        try roundTrip([UInt64.min, 1, 2, .max])
        try roundTrip([Int64.min, 1, 2, .max])
        try roundTrip([Float.leastNonzeroMagnitude, -0.0, .infinity, 1.5])
        try roundTrip([Double.leastNonzeroMagnitude, -0.0, .infinity, 1.5])
        #expect(DataType.allCases.map(\.size) == [1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8, 8, 8])
    }

    @Test func dataStartsOnAPageAndTensorsAreAlignedWithoutGaps() throws {
        let directory = TemporaryDirectory()
        let specs = [
            TensorSpec("bytes", .uint8, shape: [13]), TensorSpec("longs", .uint64, shape: [3]),
            TensorSpec("halves", .uint16, shape: [5]), TensorSpec("floats", .float32, shape: [7, 16]),
            TensorSpec("none", .float64, shape: [0]), TensorSpec("ints", .uint32, shape: [5]),
        ]
        let path = try write(specs, metadata: ["a": "\"\\\n\u{1}é"], in: directory) { writer in
            try writer.write([UInt8](repeating: 1, count: 13), to: "bytes")
            try writer.write([UInt64](repeating: 2, count: 3), to: "longs")
            try writer.write([Float](repeating: 3, count: 112), to: "floats")
            try writer.write([UInt32](repeating: 4, count: 5), to: "ints")
            try writer.write([UInt16](repeating: 5, count: 5), to: "halves")
        }
        let file = try SafetensorsFile(path: path)
        #expect(file.header.size == 4096)
        #expect(file.metadata == ["a": "\"\\\n\u{1}é"])
        #expect(file.tensors.map(\.name) == ["floats", "none", "longs", "ints", "halves", "bytes"])
        for tensor in file.tensors {
            #expect(UInt(bitPattern: tensor.bytes.baseAddress) % UInt(tensor.dataType.size) == 0)
        }
        #expect(Array(readBytes(path)[8..<4096]).last == UInt8(ascii: " "))
    }

    @Test func tensorsAreCheckedAgainstWhatIsAskedFor() throws {
        let directory = TemporaryDirectory()
        let path = try write([TensorSpec("x", .float32, shape: [2, 2])], in: directory) {
            try $0.write([Float](repeating: 0, count: 4), to: "x")
        }
        let file = try SafetensorsFile(path: path)
        let view = try file.tensor(named: "x")
        #expect(
            throws: TableError(
                path: path, reason: "tensor 'x' is F32, F64 is needed", remedy: "write the file again")
        ) { try view.elements(as: Double.self, shape: [2, 2]) }
        #expect(
            throws: TableError(
                path: path, reason: "tensor 'x' has the shape [2, 2], [any, 3] is needed",
                remedy: "write the file again")
        ) { try view.elements(as: Float.self, shape: [nil, 3]) }
        #expect(throws: TableError.self) { try file.tensor(named: "y") }
    }

    @Test func whatIsNotAlignedIsCopiedOrRefused() throws {
        let directory = TemporaryDirectory()
        let json = "{" + entry("b", "U8", "3", "0", "3") + "," + entry("x", "U32", "2", "3", "11") + "}"
        for padding in 0..<4 {
            let path = directory.path + "/\(padding)"
            writeBytes(file(json + String(repeating: " ", count: padding), data: 11), to: path)
            let mapped = try SafetensorsFile(path: path)
            let view = try mapped.tensor(named: "x")
            #expect(try view.copy(as: UInt32.self, shape: [2]) == [0x0605_0403, 0x0a09_0807])
            #expect(throws: TableError.self) { try view.copy(as: Int32.self, shape: [2]) }
            #expect(throws: TableError.self) { try view.copy(as: UInt32.self, shape: [3]) }
            if (8 + json.utf8.count + padding + 3) % 4 == 0 {
                #expect(try Array(view.elements(as: UInt32.self, shape: [2])) == [0x0605_0403, 0x0a09_0807])
            } else {
                #expect(throws: view.error("is not aligned to its elements' size")) {
                    try view.elements(as: UInt32.self, shape: [2])
                }
            }
            withExtendedLifetime(mapped) {}
        }
    }

    @Test func whatIsNotARegularFileIsRefused() throws {
        let directory = TemporaryDirectory()
        #expect(throws: TableError.self) { try SafetensorsFile(path: directory.path) }
        #expect(throws: TableError.self) { try SafetensorsFile(path: directory.path + "/none") }
        #expect(throws: TableError.self) { try SafetensorsFile(path: "/dev/null") }
        writeBytes([], to: directory.path + "/empty")
        #expect(throws: TableError.self) { try SafetensorsFile(path: directory.path + "/empty") }
    }
}
