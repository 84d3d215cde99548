/// How hard messages are compressed. The libraries' own choices: for messages of a few kilobytes, where zlib and zstd
/// spend about 170 and 60 instructions a byte, level 1 saves 14 % and 6 % of them and leaves 11 % and 3 % more bytes.
public struct CompressionLevels: Sendable, Hashable {
    /// gzip and deflate.
    public static let deflateRange = 1...9
    /// zstd has higher levels, whose tables take tens of megabytes for every loop.
    public static let zstdRange = 1...9

    public var gzip = 6
    public var deflate = 6
    public var zstd = 3

    public init() {}
}

/// Packs whole messages, one after the other, into memory of its own. One per loop, used by one thread.
///
/// Holds 64 KiB for output and, from its first use of an algorithm, 262 KiB for each of gzip and deflate; for zstd at
/// most 1.3 MiB at level 3 and 12.6 MiB at level 9. While a message stands, and until the next, the message's size.
public final class Compressor {
    private let levels: CompressionLevels
    private var output = OutputMemory()
    private var gzip: DeflateEncoder?
    private var deflate: DeflateEncoder?
    private(set) var zstandard: ZstandardEncoder?

    /// - Parameter levels: Within their ranges.
    public init(levels: CompressionLevels = CompressionLevels()) {
        precondition(CompressionLevels.deflateRange.contains(levels.gzip), "gzip has levels 1 to 9")
        precondition(CompressionLevels.deflateRange.contains(levels.deflate), "deflate has levels 1 to 9")
        precondition(CompressionLevels.zstdRange.contains(levels.zstd), "zstd has levels 1 to 9 here")
        self.levels = levels
    }

    /// `input` compressed.
    ///
    /// - Parameter headroom: Writable bytes left in front of the result, for a prefix.
    /// - Returns: Bytes of the compressor's own, valid until the next call; nil where they would be no fewer than those of `input`, or where
    ///   there is no memory to compress in: such messages go out as they are.
    public func compress(
        _ input: UnsafeRawBufferPointer, _ algorithm: CompressionAlgorithm, headroom: Int
    ) -> UnsafeMutableRawBufferPointer? {
        output.clear()
        output.reserve(headroom + input.count, atMost: headroom + input.count)
        output.advance(headroom)
        // One byte less than what went in.
        let room = output.room(atMost: max(headroom, headroom + input.count - 1))
        guard let count = encode(input, algorithm, into: room) else { return nil }
        return UnsafeMutableRawBufferPointer(rebasing: room[..<count])
    }

    /// Gives back what large messages took.
    ///
    /// - Returns: How many bytes that were.
    public func shrink() -> Int { output.shrink() }

    private func encode(
        _ input: UnsafeRawBufferPointer, _ algorithm: CompressionAlgorithm, into room: UnsafeMutableRawBufferPointer
    ) -> Int? {
        switch algorithm {
        case .gzip:
            if gzip == nil { gzip = DeflateEncoder(.gzip, level: Int32(levels.gzip)) }
            return gzip?.encode(input, into: room)
        case .deflate:
            if deflate == nil { deflate = DeflateEncoder(.zlib, level: Int32(levels.deflate)) }
            return deflate?.encode(input, into: room)
        case .zstd:
            if zstandard == nil { zstandard = ZstandardEncoder(level: Int32(levels.zstd)) }
            return zstandard?.encode(input, into: room)
        }
    }
}
