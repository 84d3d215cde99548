// Opens what anyone may have put into a store. Whatever is refused must be refused with an error, and whatever is
// accepted must answer queries. The first byte of an input chooses what the rest is:
//   0  a safetensors file
//   1  a manifest, but for its checksum, beside a good data file
//   2  a data file of a table of related products, beside a manifest that tells the truth about it
//   3  a manifest's length in two bytes, the manifest, and the data file, as they are

internal import CLibFuzzer
internal import CXXHash
internal import Glibc
internal import Retrieval
internal import FletchSchema
internal import Tables
internal import FletchWire

/// In memory, for speed.
private let directory: String = {
    var template = Array("/dev/shm/fuzz-tables-XXXXXX".utf8CString)
    return String(cString: mkdtemp(&template)!)
}()
private let version = directory + "/t/1"
private let data = version + "/table.safetensors"
private let manifest = version + "/manifest.binpb"

private func fuzzTables(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    switch start.pointee % 4 {
    case 0: openFile(bytes)
    case 1: openTable(manifest: sealed(bytes), data: goodData)
    case 2:
        write(bytes, to: data)
        if let truth = truthfulManifest(bytes) { openTable(manifest: truth, data: bytes) }
    default:
        let length = min(Int(bytes[0]) << 8 | Int(bytes[1]), bytes.count - 2)
        openTable(manifest: Array(bytes[2..<2 + length]), data: Array(bytes[(2 + length)...]))
    }
    return 0
}

private func openFile(_ bytes: [UInt8]) {
    write(bytes, to: data)
    guard let file = try? SafetensorsFile(path: data) else { return }
    var sum = 0
    for tensor in file.tensors {
        sum += tensor.bytes.count
        precondition(tensor.bytes.reduce(0) { $0 | $1 } <= 255)
    }
    precondition(sum < bytes.count, "tensors larger than their file")
    guard let embeddings = try? RelatedEmbeddings(path: data) else { return }
    precondition(embeddings.source.count == embeddings.count * embeddings.dimension)
    _ = try? RelatedTableBuilder(embeddings)
}

private func openTable(manifest manifestBytes: [UInt8], data dataBytes: [UInt8]) {
    write(dataBytes, to: data)
    write(manifestBytes, to: manifest)
    guard let table = try? Store(path: directory).open("t"), let related = try? RelatedTable(table) else { return }
    ask(related)
}

private func ask(_ table: RelatedTable) {
    let scratch = RelatedScratch()
    for row in 0..<UInt32(min(table.count, 20)) {
        precondition(table.row(of: table.id(of: row)) == row)
        for limit in [1, table.listLength, table.count + 1] {
            scratch.reset()
            scratch.exclude(row / 2)
            _ = table.related(to: row, limit: limit, scratch)
            check(scratch, table)
            scratch.reset()
            scratch.addToCart(row)
            scratch.addToCart(row / 3)
            _ = table.relatedToCart(limit: limit, scratch)
            check(scratch, table)
        }
    }
}

private func check(_ scratch: RelatedScratch, _ table: RelatedTable) {
    var previous = Float.infinity
    for result in scratch.results {
        precondition(result.row < table.count && result.score <= previous && result.score.isFinite)
        previous = result.score
    }
}

/// A manifest that says of a data file what is so; nil where it is not even a safetensors file.
private func truthfulManifest(_ bytes: [UInt8]) -> [UInt8]? {
    guard let file = try? SafetensorsFile(path: data) else { return nil }
    let headerSize = bytes.withUnsafeBytes { 8 + Int($0.loadUnaligned(as: UInt64.self)) }
    var truth = Manifest(formatVersion: 1, name: "t", version: "1", kind: RelatedTable.kind)
    let headerHash = bytes.withUnsafeBytes { XXH3_64bits($0.baseAddress, headerSize) }
    truth.files = [File(name: "table.safetensors", size: UInt64(bytes.count), headerXxh3: headerHash)]
    var offset = headerSize
    for tensor in file.tensors {
        truth.tensors.append(
            Tensor(
                name: tensor.name, file: "table.safetensors", dtype: tensor.dataType.rawValue,
                shape: tensor.shape.map { UInt64($0) }, offset: UInt64(offset), size: UInt64(tensor.bytes.count),
                xxh3: XXH3_64bits(tensor.bytes.baseAddress, tensor.bytes.count)))
        offset += tensor.bytes.count
    }
    return sealed(truth.encoded())
}

/// The bytes with the checksum of a manifest behind them.
private func sealed(_ bytes: [UInt8]) -> [UInt8] {
    let hash = XXH3_64bits(bytes, bytes.count)
    return bytes + [11 << 3 | 1] + withUnsafeBytes(of: hash.littleEndian) { Array($0) }
}

private func write(_ bytes: [UInt8], to path: String) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(Glibc.write(file, bytes, bytes.count) == bytes.count)
    close(file)
}

/// Makes a store with one version of a table, and returns its data file.
private func makeStore() throws -> [UInt8] {
    let embeddings = try RelatedEmbeddings(
        ids: ["a", "bc", "é"], dimension: 2, source: [1, 0, 0, 1, 1, 1], target: [2, 0, 0, 2, 1, 1])
    _ = try RelatedTableBuilder(embeddings).publish(to: Store(path: directory), name: "t", buildID: "fuzz")
    let size = Int(try Store(path: directory).manifest(of: "t").files[0].size)
    var bytes = [UInt8](repeating: 0, count: size)
    let file = open(data, O_RDONLY)
    precondition(read(file, &bytes, size) == size)
    close(file)
    // Every input is written over them.
    for path in [data, manifest] { chmod(path, 0o600) }
    return bytes
}

private let goodData = try makeStore()
atexit {
    for path in [data, manifest, version, directory + "/t/CURRENT", directory + "/t", directory] { remove(path) }
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzTables))
