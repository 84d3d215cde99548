internal import FletchCompression
internal import FletchHTTP2

/// Unpacks the requests of one loop and packs its responses. What that takes is made when it is first needed.
///
/// Only one message is unpacked at a time, within its method's limit, so it is not charged to the loop's budget.
final class MessageCoding {
    private let settings: CompressionSettings
    // Beside the settings, whose array is counted whenever they are touched: every call looks at these.
    let accepted: CompressionAlgorithms
    private let minResponseBytes: Int
    private var decompressor: Decompressor?
    private var compressor: Compressor?

    init(_ settings: CompressionSettings) {
        self.settings = settings
        accepted = settings.accepted
        minResponseBytes = settings.minResponseBytes ?? .max
    }

    /// Whether responses are compressed where their handlers do not say so.
    var compressesUnasked: Bool { minResponseBytes < .max }

    /// Whether a response of so many bytes is to be compressed; `choice`: what its handler says.
    func compresses(byteCount: Int, choice: Bool?) -> Bool { choice ?? (byteCount >= minResponseBytes) }

    /// The algorithm for the responses of a request with these header fields; nil where the caller takes none of ours.
    func encoding(for request: HeaderFields) -> CompressionAlgorithm? {
        var accepted: CompressionAlgorithms = []
        for field in request where field.name.equals("grpc-accept-encoding") {
            accepted.formUnion(CompressionAlgorithms(acceptEncoding: field.value))
        }
        return settings.preferred.first(where: accepted.contains)
    }

    /// The message that `bytes` unpack to, valid until the next one is unpacked.
    func decompress(
        _ bytes: UnsafeRawBufferPointer, _ encoding: CompressionAlgorithm, limit: Int
    ) throws(Rejection) -> UnsafeRawBufferPointer {
        let decompressor = self.decompressor ?? Decompressor()
        self.decompressor = decompressor
        do throws(DecompressionError) {
            return try decompressor.decompress(bytes, encoding, limit: limit)
        } catch {
            throw .decompressionFailed(error)
        }
    }

    /// Gives back what large messages took, and says how many bytes that were. Between messages only.
    func shrink() -> Int { (decompressor?.shrink() ?? 0) + (compressor?.shrink() ?? 0) }

    /// `message` compressed and with its prefix, valid until the next one is packed; nil where it would not be smaller.
    func compress(
        _ message: UnsafeMutableRawBufferPointer, _ encoding: CompressionAlgorithm
    ) -> UnsafeRawBufferPointer? {
        let compressor = self.compressor ?? Compressor(levels: settings.levels)
        self.compressor = compressor
        let packed = compressor.compress(
            UnsafeRawBufferPointer(message), encoding, headroom: MessagePrefix.byteCount)
        return packed.flatMap { MessagePrefix.write(before: $0, isCompressed: true) }
    }
}
