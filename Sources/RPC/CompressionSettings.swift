public import FletchCompression

/// What a server compresses, and what it takes compressed (gRPC: doc/compression.md).
public struct CompressionSettings: Sendable, Hashable {
    /// From here on compression pays, where a server does it unasked: below, it costs more than the rest of the call
    /// and saves less than a packet.
    public static let defaultMinResponseBytes = 1024

    /// What requests may be compressed with; others are refused with UNIMPLEMENTED. A few kilobytes can make a loop
    /// unpack as much as a method's limit allows: for peers that are not trusted so far, none.
    public var accepted = CompressionAlgorithms.all
    /// What responses are compressed with: the first of these that the caller lists in `grpc-accept-encoding`.
    public var preferred: [CompressionAlgorithm] = [.zstd, .gzip, .deflate]
    /// Responses of at least so many bytes are compressed where their handler does not say whether they should be; nil:
    /// none.
    public var minResponseBytes: Int?
    public var levels = CompressionLevels()

    public init() {}

    /// Why a text says no settings.
    public struct Invalid: Error, Sendable, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// Responses are compressed as `text` says: algorithms in the order of preference, separated by commas, and the
    /// bytes from which on, `gzip`, `zstd,gzip` or `gzip:4096`; `flag` names it in the error.
    public init(_ text: String, flag: String) throws(Invalid) {
        func invalid(_ reason: String) -> Invalid {
            Invalid(description: "\(flag) '\(text)': \(reason); write for example zstd,gzip or gzip:4096")
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        preferred = []
        for name in parts[0].split(separator: ",", omittingEmptySubsequences: false) {
            guard let algorithm = CompressionAlgorithm.allCases.first(where: { "\($0.name)" == name }) else {
                throw invalid("'\(name)' is none of gzip, deflate and zstd")
            }
            guard !preferred.contains(algorithm) else { throw invalid("\(name) is named twice") }
            preferred.append(algorithm)
        }
        minResponseBytes = Self.defaultMinResponseBytes
        guard parts.count > 1 else { return }
        guard let bytes = UInt32(parts[1]) else { throw invalid("the size must be a number of bytes") }
        minResponseBytes = Int(bytes)
    }
}
