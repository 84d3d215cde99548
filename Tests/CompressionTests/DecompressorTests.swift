@testable internal import FletchCompression
internal import Glibc
internal import LinearAlgebra
internal import Testing

private let text = Array("fletch fletch fletch, related products from mapped tables\n".utf8)

/// `text` as Python's gzip and zlib modules and the zstd command pack it.
private let vectors: [(CompressionAlgorithm, String)] = [
    (
        .gzip,
        "1f8b08000000000000034bcb492d49ce504843a674148a5273124b5253140a8af2534a934b8a15d28af2731572130b0a8082258949"
            + "39a9c55c0075c7bd9a3a000000"
    ),
    // With extra field, file name, comment and a checksum of the header.
    (
        .gzip,
        "1f8b081e0000000000ff03006162636e616d65006e6f74650025074bcb492d49ce504843a674148a5273124b5253140a8af2534a93"
            + "4b8a15d28af2731572130b0a808225894939a9c55c0075c7bd9a3a000000"
    ),
    (
        .deflate,
        "789c4bcb492d49ce504843a674148a5273124b5253140a8af2534a934b8a15d28af2731572130b0a808225894939a9c55c007fc41574"
    ),
    // Without its size in the header, then with it.
    (
        .zstd,
        "28b52ffd0458a50100d402666c65746368202c2072656c617465642070726f64756374732066726f6d206d6170706564207461626c"
            + "65730a01003a8a11b685ec72"
    ),
    (
        .zstd,
        "28b52ffd243aa50100d402666c65746368202c2072656c617465642070726f64756374732066726f6d206d6170706564207461626c"
            + "65730a01003a8a11b685ec72"
    ),
]

/// Bytes that no algorithm makes smaller.
private func noise(_ count: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: 1)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

/// A megabyte of one letter in few bytes.
private func bomb(_ algorithm: CompressionAlgorithm) -> [UInt8] {
    Compressor().pack(Array(repeating: UInt8(ascii: "a"), count: 1 << 20), algorithm)!
}

@Suite struct DecompressorTests {
    let decompressor = Decompressor()

    @Test(arguments: vectors)
    func unpacksWhatOthersPacked(_ algorithm: CompressionAlgorithm, _ hex: String) throws {
        #expect(try decompressor.unpack(bytes(hex: hex), algorithm) == text)
    }

    @Test(arguments: vectors)
    func takesTheLimitAndNotOneByteMore(_ algorithm: CompressionAlgorithm, _ hex: String) throws {
        #expect(try decompressor.unpack(bytes(hex: hex), algorithm, limit: text.count) == text)
        for limit in [0, 1, text.count - 1] {
            #expect(decompressor.refusal(bytes(hex: hex), algorithm, limit: limit) == .tooLarge(limit: limit))
        }
    }

    @Test(arguments: vectors)
    func refusesEveryTruncation(_ algorithm: CompressionAlgorithm, _ hex: String) throws {
        let packed = bytes(hex: hex)
        for count in packed.indices {
            #expect(decompressor.refusal(Array(packed[..<count]), algorithm) == .truncated, "\(count) bytes")
        }
        #expect(try decompressor.unpack(packed, algorithm) == text, "a failure leaves nothing behind")
    }

    @Test(arguments: vectors)
    func survivesEveryFlippedBit(_ algorithm: CompressionAlgorithm, _ hex: String) throws {
        let packed = bytes(hex: hex)
        for bit in 0..<packed.count * 8 {
            var damaged = packed
            damaged[bit / 8] ^= 1 << (bit % 8)
            // Checksums find every change of the content; some fields of gzip's header are free.
            if let unpacked = try? decompressor.unpack(damaged, algorithm) { #expect(unpacked == text) }
        }
    }

    @Test(arguments: vectors)
    func refusesBytesBehindTheEnd(_ algorithm: CompressionAlgorithm, _ hex: String) {
        let packed = bytes(hex: hex)
        #expect(decompressor.refusal(packed + [0], algorithm) != nil)
        #expect(decompressor.refusal(packed + text, algorithm) != nil)
    }

    @Test func joinsMembersAndFrames() throws {
        for (algorithm, hex) in vectors where algorithm != .deflate {
            let packed = bytes(hex: hex)
            #expect(try decompressor.unpack(packed + packed, algorithm) == text + text)
            let limit = text.count * 2 - 1
            #expect(decompressor.refusal(packed + packed, algorithm, limit: limit) == .tooLarge(limit: limit))
        }
        let zlib = bytes(hex: vectors.first { $0.0 == .deflate }!.1)
        #expect(decompressor.refusal(zlib + zlib, .deflate) == .trailingBytes)
    }

    @Test func unpacksManySmallFramesIntoOneMessage() throws {
        for algorithm in [CompressionAlgorithm.gzip, .zstd] {
            let letter = Array(repeating: UInt8(ascii: "a"), count: 100)
            let packed = try #require(Compressor().pack(letter, algorithm))
            let many = Array(repeating: packed, count: 2000).flatMap { $0 }
            #expect(try decompressor.unpack(many, algorithm).count == 200_000)
        }
    }

    @Test func skipsZstandardFramesWithoutContent() throws {
        let skippable = bytes(hex: "532a4d180300000078797a")
        let frame = bytes(hex: vectors.last!.1)
        #expect(try decompressor.unpack(skippable + frame + skippable, .zstd) == text)
        #expect(try decompressor.unpack(skippable, .zstd) == [])
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func stopsABombAtTheLimit(_ algorithm: CompressionAlgorithm) throws {
        let packed = bomb(algorithm)
        #expect(packed.count < 2000)
        #expect(try decompressor.unpack(packed, algorithm).count == 1 << 20)
        #expect(decompressor.refusal(packed, algorithm, limit: 1 << 16) == .tooLarge(limit: 1 << 16))
        #expect(decompressor.output.count <= (1 << 16) + 1)
        #expect(decompressor.output.capacity <= (1 << 16) + 1)
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func refusesGarbageAndNothing(_ algorithm: CompressionAlgorithm) {
        #expect(decompressor.refusal([], algorithm) == .truncated)
        #expect(decompressor.refusal(text, algorithm) == .damaged)
        #expect(decompressor.refusal(noise(1000), algorithm) == .damaged)
    }

    @Test func refusesOneFormatUnderTheNameOfAnother() {
        for (algorithm, hex) in vectors {
            for other in CompressionAlgorithm.allCases where other != algorithm {
                #expect(decompressor.refusal(bytes(hex: hex), other) == .damaged)
            }
        }
        let rawDeflate =
            "4bcb492d49ce504843a674148a5273124b5253140a8af2534a934b8a15d28af2731572130b0a808225894939a9c55c00"
        #expect(decompressor.refusal(bytes(hex: rawDeflate), .deflate) == .damaged)
    }

    @Test func refusesWindowsThatTakeTooMuchMemory() {
        // 300,000 times one letter behind a window of 2^27 bytes, then of 2^31 and of 2^24.
        let packed = bytes(hex: "28b52ffd04884c000008610100fcff39100202001061039f04618d5f04a6")
        for window: UInt8 in [0x88, 0xA8, 0x70] {
            var other = packed
            other[5] = window
            #expect(decompressor.refusal(other, .zstd) == .windowTooLarge)
        }
        var largest = packed
        largest[5] = 0x68  // 2^23
        #expect(decompressor.refusal(largest, .zstd) == nil)
        #expect(decompressor.zstandard!.memorySize < (8 << 20) + (1 << 19))
    }

    @Test func refusesDictionaries() {
        let zstd = "28b52ffd2740e9c15cae6d000000047c00d94b37b3f3a620ae3307456cff"
        #expect(decompressor.refusal(bytes(hex: zstd), .zstd) == .dictionaryNeeded)
        let zlib = "78bbf4ae0d7c4bcb492d49ce5040a174148a086be402007fc41574"
        #expect(decompressor.refusal(bytes(hex: zlib), .deflate) == .dictionaryNeeded)
    }
}

@Suite struct RoundTripTests {
    private static let sizes = [0, 1, 2, 100, 4095, 65_535, 65_536, 65_537, 200_000, 1_000_000]

    @Test(arguments: CompressionAlgorithm.allCases)
    func bringsBackStructuredData(_ algorithm: CompressionAlgorithm) throws {
        let compressor = Compressor()
        let decompressor = Decompressor()
        for size in Self.sizes {
            let plain = (0..<size).map { UInt8(truncatingIfNeeded: $0 * $0 / 7 % 40) }
            guard let packed = compressor.pack(plain, algorithm) else {
                #expect(size <= 100, "\(size) bytes of a pattern become fewer")
                continue
            }
            #expect(packed.count < plain.count)
            #expect(try decompressor.unpack(packed, algorithm, limit: size) == plain)
        }
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func leavesAloneWhatDoesNotShrink(_ algorithm: CompressionAlgorithm) throws {
        let compressor = Compressor()
        for size in Self.sizes {
            #expect(compressor.pack(noise(size), algorithm) == nil, "\(size) bytes")
        }
        #expect(compressor.pack(Array(repeating: 7, count: 500), algorithm) != nil, "a refusal leaves nothing behind")
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func packsAtEveryLevel(_ algorithm: CompressionAlgorithm) throws {
        let plain = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 * $0 / 11 % 60) }
        for level in 1...9 {
            var levels = CompressionLevels()
            levels.gzip = level
            levels.deflate = level
            levels.zstd = level
            let packed = try #require(Compressor(levels: levels).pack(plain, algorithm))
            #expect(try Decompressor().unpack(packed, algorithm) == plain)
        }
    }

    @Test(arguments: [(1, 600_000), (3, 1_400_000), (9, 13_200_000)])
    func holdsTheMemoryItStates(_ level: Int, _ bytes: Int) throws {
        var levels = CompressionLevels()
        levels.zstd = level
        let compressor = Compressor(levels: levels)
        _ = compressor.pack(Array(repeating: 7, count: 32 << 20), .zstd)
        #expect(compressor.zstandard!.memorySize <= bytes)
    }

    @Test(arguments: CompressionAlgorithm.allCases)
    func leavesRoomForAPrefix(_ algorithm: CompressionAlgorithm) throws {
        let plain = Array(repeating: UInt8(ascii: "x"), count: 1000)
        let compressor = Compressor()
        try withExtendedLifetime(compressor) {
            let packed = try #require(plain.withUnsafeBytes { compressor.compress($0, algorithm, headroom: 5) })
            memset(packed.baseAddress! - 5, 0xEE, 5)
            #expect(try Decompressor().unpack(Array(packed), algorithm) == plain)
        }
    }
}

@Suite struct NameTests {
    private func accepted(_ list: String) -> CompressionAlgorithms {
        Array(list.utf8).withUnsafeBytes { CompressionAlgorithms(acceptEncoding: $0) }
    }

    private func algorithm(_ name: String) -> CompressionAlgorithm? {
        Array(name.utf8).withUnsafeBytes { CompressionAlgorithm(name: $0) }
    }

    @Test func knowsNames() {
        #expect(algorithm("gzip") == .gzip)
        #expect(algorithm("deflate") == .deflate)
        #expect(algorithm("zstd") == .zstd)
        for unknown in ["", "identity", "gzi", "gzipp", "GZIP", "br", "gzip "] { #expect(algorithm(unknown) == nil) }
    }

    @Test func readsLists() {
        #expect(accepted("identity, deflate, gzip") == [.init(.deflate), .init(.gzip)])
        #expect(accepted("gzip,zstd\t, ,deflate") == .all)
        #expect(accepted(" gzip ") == .init(.gzip))
        for list in ["", ",", " ", ", ,", "identity", "gzip;q=1", "snappy,br"] { #expect(accepted(list) == []) }
    }

    @Test func writesLists() {
        #expect(CompressionAlgorithms.all.acceptEncoding == "identity,gzip,deflate,zstd")
        #expect(CompressionAlgorithms().acceptEncoding == "identity")
    }
}
