internal import CZlib

/// Unpacks gzip and zlib data piece by piece (RFC 1952, RFC 1950). Holds at most 40 KiB: zlib's state and its window.
public final class InflateDecoder {
    public enum Format: Int32, Sendable {
        // zlib's windowBits: 15 bits of window, plus 16 for the gzip wrapper.
        case gzip = 31
        case zlib = 15
    }

    private let stream: UnsafeMutablePointer<z_stream>

    /// - Throws: `outOfMemory`.
    public init(_ format: Format) throws(DecompressionError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let status = inflateInit2_(stream, format.rawValue, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            throw .outOfMemory
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Makes the decoder ready for the next member or stream, whatever became of the one before.
    public func restart(_ format: Format) { inflateReset2(stream, format.rawValue) }

    /// Undoes as much as fits.
    ///
    /// - Parameter isWhole: Whether the input is all that will come, which saves the copy of the window.
    /// - Throws: `damaged`, `dictionaryNeeded`, `outOfMemory`.
    public func decode(
        _ input: UnsafeRawBufferPointer, isWhole: Bool, into output: UnsafeMutableRawBufferPointer
    ) throws(DecompressionError) -> DecodingStep {
        let offered = UInt32(clamping: input.count)
        let room = UInt32(clamping: output.count)
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = offered
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = room
        let status = inflate(stream, isWhole ? Z_FINISH : Z_NO_FLUSH)
        switch status {
        // Z_BUF_ERROR: as far as input and room go.
        case Z_OK, Z_STREAM_END, Z_BUF_ERROR: break
        case Z_NEED_DICT: throw .dictionaryNeeded
        case Z_MEM_ERROR: throw .outOfMemory
        default: throw .damaged
        }
        return DecodingStep(
            consumed: Int(offered - stream.pointee.avail_in), produced: Int(room - stream.pointee.avail_out),
            isAtEnd: status == Z_STREAM_END)
    }
}
