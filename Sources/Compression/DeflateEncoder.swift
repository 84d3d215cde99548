internal import CZlib

/// Packs whole messages as gzip or zlib data (RFC 1952, RFC 1950). Holds 262 KiB, at every level: zlib's window of
/// 2 * 32 KiB, its hash chains and its literal buffer (zconf.h).
final class DeflateEncoder {
    private let stream: UnsafeMutablePointer<z_stream>

    /// nil where there is no memory for the state.
    init?(_ format: InflateDecoder.Format, level: Int32) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // zlib's own choice of how much memory finds matches.
        let memoryLevel: Int32 = 8
        let status = deflateInit2_(
            stream, level, Z_DEFLATED, format.rawValue, memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Packs all of `input`; nil where it does not fit into `output`.
    func encode(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard let offered = UInt32(exactly: input.count) else { return nil }
        let room = UInt32(clamping: output.count)
        deflateReset(stream)
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = offered
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = room
        guard deflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return Int(room - stream.pointee.avail_out)
    }
}
