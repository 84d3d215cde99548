internal import CZstd

/// Packs whole messages as one Zstandard frame that states its size (RFC 8878).
final class ZstandardEncoder {
    private let context: OpaquePointer

    /// nil where there is no memory for the state.
    init?(level: Int32) {
        guard let context = ZSTD_createCCtx() else { return nil }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        // The frame's checksum: a message damaged on its way is found, as with gzip.
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Bytes of memory that the context holds.
    var memorySize: Int { ZSTD_sizeof_CCtx(context) }

    /// Packs all of `input`; nil where it does not fit into `output`.
    func encode(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        let count = ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
        return ZSTD_isError(count) == 0 ? count : nil
    }
}
