// Feeds arbitrary bytes to the decompressors. Nothing may crash, nothing larger than the limit may come out, and what
// came out must survive a round trip.

internal import CLibFuzzer
internal import FletchCompression
internal import Glibc

nonisolated(unsafe) private let decompressor = Decompressor()
nonisolated(unsafe) private let compressor = Compressor()

/// Small limits, so that the fuzzer reaches them, and one that lets output grow.
private let limits = [0, 1, 100, 4096, 65_535, 65_536, 300_000, 1 << 20]

/// The first byte chooses algorithm and limit, the rest is unpacked.
private func fuzzCompression(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    let algorithms = CompressionAlgorithm.allCases
    let algorithm = algorithms[Int(start.pointee) % algorithms.count]
    let limit = limits[Int(start.pointee) / algorithms.count % limits.count]
    let packed = UnsafeRawBufferPointer(start: start + 1, count: count - 1)
    guard let plain = try? decompressor.decompress(packed, algorithm, limit: limit) else { return 0 }
    precondition(plain.count <= limit, "more than the limit came out")
    let expected = Array(plain)
    for other in algorithms {
        let repacked = expected.withUnsafeBytes { compressor.compress($0, other, headroom: 5) }
        guard let repacked else { continue }
        precondition(repacked.count < expected.count, "compression made a message larger")
        let again = try? decompressor.decompress(UnsafeRawBufferPointer(repacked), other, limit: expected.count)
        precondition(again?.elementsEqual(expected) == true, "a round trip changed the message")
    }
    return 0
}

var argc = CommandLine.argc
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argc, &argv, fuzzCompression))
