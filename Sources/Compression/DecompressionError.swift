/// Why bytes could not be decompressed.
public enum DecompressionError: Error, Sendable, Hashable {
    /// They are not in the format, or a checksum does not match.
    case damaged
    /// They end too early.
    case truncated
    /// More bytes follow the end of the compressed data.
    case trailingBytes
    /// They unpack to more than the limit.
    case tooLarge(limit: Int)
    /// They refer further back than the decoder keeps (Zstandard's window).
    case windowTooLarge
    /// They were packed with a dictionary, which only its maker has.
    case dictionaryNeeded
    /// The library could not allocate its state.
    case outOfMemory

    /// The error as one clause, without what was decompressed.
    public var message: String {
        switch self {
        case .damaged: "the compressed data is damaged"
        case .truncated: "the compressed data ends too early"
        case .trailingBytes: "bytes follow the end of the compressed data"
        case .tooLarge(let limit): "the data unpacks to more than \(limit) bytes"
        case .windowTooLarge: "the data was compressed with a larger window than is accepted"
        case .dictionaryNeeded: "the data was compressed with a dictionary"
        case .outOfMemory: "there is no memory to decompress the data in"
        }
    }
}
