internal import CZstd

/// Unpacks Zstandard frames piece by piece (RFC 8878). Holds 94 KiB, and for frames whose output does not fit at once
/// their window and 384 KiB more, which the library gives back after many frames that need less.
public final class ZstandardDecoder {
    private let context: OpaquePointer

    /// - Parameter maxWindowLog: 10...31: frames with a window of more than 2 to the power of it bytes are refused.
    /// - Throws: `outOfMemory`.
    public init(maxWindowLog: Int32) throws(DecompressionError) {
        guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
        self.context = context
        let result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, maxWindowLog)
        precondition(ZSTD_isError(result) == 0, "zstd takes windows of 10 to 31 bits")
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Bytes of memory that the decoder holds.
    var memorySize: Int { ZSTD_sizeof_DCtx(context) }

    /// Makes the decoder ready for the next frame, whatever became of the one before. After a frame's end it is.
    public func restart() { ZSTD_DCtx_reset(context, ZSTD_reset_session_only) }

    /// The bytes that the frame at the start of `input` says it unpacks to; nil where it does not say.
    public static func statedSize(_ input: UnsafeRawBufferPointer) -> UInt64? {
        // The two highest values stand for "not stated" and "not a frame".
        let size = ZSTD_getFrameContentSize(input.baseAddress, input.count)
        return size < .max - 1 ? size : nil
    }

    /// Undoes as much as fits.
    ///
    /// - Throws: `damaged`, `windowTooLarge`, `dictionaryNeeded`, `outOfMemory`.
    public func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DecompressionError) -> DecodingStep {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var sink = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let result = ZSTD_decompressStream(context, &sink, &source)
        switch ZSTD_getErrorCode(result) {
        case ZSTD_error_no_error: break
        case ZSTD_error_frameParameter_windowTooLarge: throw .windowTooLarge
        case ZSTD_error_dictionary_wrong: throw .dictionaryNeeded
        case ZSTD_error_memory_allocation: throw .outOfMemory
        default: throw .damaged
        }
        return DecodingStep(consumed: source.pos, produced: sink.pos, isAtEnd: result == 0)
    }
}
