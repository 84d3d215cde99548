/// Unpacks whole messages, one after the other, into memory of its own. One per loop, used by one thread.
///
/// Holds 64 KiB for output; from its first use of an algorithm 40 KiB for gzip and deflate together, and for zstd
/// 94 KiB, which frames that do not state their size make up to 8.5 MiB, their largest window. While a message
/// stands, and until the next, the message itself: its limit at most.
public final class Decompressor {
    /// The largest window of a zstd frame: 8 MiB, which RFC 8878 (3.1.1.1.2) wants every decoder to take and asks
    /// encoders not to exceed. Frames could otherwise ask for 2 GiB.
    public static let maxWindowLog: Int32 = 23

    /// What zstd holds beyond it was a frame's window.
    private static let retainedZstandardBytes = 256 << 10

    private(set) var output = OutputMemory()
    private var inflate: InflateDecoder?
    private(set) var zstandard: ZstandardDecoder?

    public init() {}

    /// The message that `input` holds: all of it and nothing else. Several gzip members or zstd frames are joined, as
    /// their specifications want it.
    ///
    /// - Parameter limit: The most bytes the message may have. Unpacking stops one byte later.
    /// - Returns: Bytes of the decompressor's own, valid until the next call.
    public func decompress(
        _ input: UnsafeRawBufferPointer, _ algorithm: CompressionAlgorithm, limit: Int
    ) throws(DecompressionError) -> UnsafeRawBufferPointer {
        precondition(limit >= 0 && limit < Int.max, "a message's size is limited")
        output.clear()
        switch algorithm {
        case .gzip: try unpackInflate(input, .gzip, limit: limit)
        case .deflate: try unpackInflate(input, .zlib, limit: limit)
        case .zstd: try unpackZstandard(input, limit: limit)
        }
        return UnsafeRawBufferPointer(output.bytes)
    }

    /// Gives back what large messages took.
    ///
    /// - Returns: How many bytes that were.
    public func shrink() -> Int {
        var released = output.shrink()
        if let size = zstandard?.memorySize, size > Self.retainedZstandardBytes {
            zstandard = nil
            released += size
        }
        return released
    }

    private func unpackInflate(
        _ input: UnsafeRawBufferPointer, _ format: InflateDecoder.Format, limit: Int
    ) throws(DecompressionError) {
        let decoder = try inflateDecoder()
        var rest = input
        repeat {
            decoder.restart(format)
            while true {
                let step = try decoder.decode(rest, isWhole: true, into: output.room(atMost: limit &+ 1))
                if try take(step, from: &rest, limit: limit) { break }
            }
            guard rest.isEmpty || format == .gzip else { throw .trailingBytes }
        } while !rest.isEmpty
    }

    private func unpackZstandard(_ input: UnsafeRawBufferPointer, limit: Int) throws(DecompressionError) {
        let decoder = try zstandardDecoder()
        decoder.restart()
        var rest = input
        repeat {
            // With room for a whole frame the library unpacks in place and keeps no window.
            if let size = ZstandardDecoder.statedSize(rest) {
                guard size <= UInt64(limit &- output.count) else { throw .tooLarge(limit: limit) }
                output.reserve(output.count &+ Int(size), atMost: limit &+ 1)
            }
            while true {
                let step = try decoder.decode(rest, into: output.room(atMost: limit &+ 1))
                if try take(step, from: &rest, limit: limit) { break }
            }
        } while !rest.isEmpty
    }

    /// Accounts for a step; true where the member or frame has ended.
    private func take(
        _ step: DecodingStep, from rest: inout UnsafeRawBufferPointer, limit: Int
    ) throws(DecompressionError) -> Bool {
        rest = UnsafeRawBufferPointer(rebasing: rest[step.consumed...])
        output.advance(step.produced)
        guard output.count <= limit else { throw .tooLarge(limit: limit) }
        guard step.isAtEnd || step.consumed > 0 || step.produced > 0 else { throw .truncated }
        return step.isAtEnd
    }

    private func inflateDecoder() throws(DecompressionError) -> InflateDecoder {
        if let inflate { return inflate }
        let decoder = try InflateDecoder(.gzip)
        inflate = decoder
        return decoder
    }

    private func zstandardDecoder() throws(DecompressionError) -> ZstandardDecoder {
        if let zstandard { return zstandard }
        let decoder = try ZstandardDecoder(maxWindowLog: Self.maxWindowLog)
        zstandard = decoder
        return decoder
    }
}
