/// How a message is packed, as gRPC names it in `grpc-encoding` (gRPC: doc/compression.md).
public enum CompressionAlgorithm: UInt8, CaseIterable, Sendable {
    /// RFC 1952.
    case gzip
    /// The zlib format of RFC 1950, as HTTP and gRPC use the word; not the raw format of RFC 1951.
    case deflate
    /// RFC 8878.
    case zstd

    /// The name in `grpc-encoding`.
    public var name: StaticString {
        switch self {
        case .gzip: "gzip"
        case .deflate: "deflate"
        case .zstd: "zstd"
        }
    }

    /// The algorithm of a `grpc-encoding` field; nil for `identity` and unknown names.
    public init?(name: UnsafeRawBufferPointer) {
        guard let found = Self.allCases.first(where: { $0.isNamed(name) }) else { return nil }
        self = found
    }

    private func isNamed(_ other: UnsafeRawBufferPointer) -> Bool {
        other.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }
}

/// A set of algorithms, such as a peer accepts.
public struct CompressionAlgorithms: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public init(_ algorithm: CompressionAlgorithm) { rawValue = 1 << algorithm.rawValue }

    public static let all = CompressionAlgorithms(CompressionAlgorithm.allCases.map(Self.init))

    /// The algorithms of a `grpc-accept-encoding` field: names separated by commas, unknown ones skipped.
    public init(acceptEncoding list: UnsafeRawBufferPointer) {
        self = []
        for part in list.split(separator: UInt8(ascii: ",")) {
            let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
            guard let first = part.firstIndex(where: { !isBlank($0) }),
                let last = part.lastIndex(where: { !isBlank($0) })
            else { continue }
            if let algorithm = CompressionAlgorithm(name: UnsafeRawBufferPointer(rebasing: list[first...last])) {
                insert(Self(algorithm))
            }
        }
    }

    public func contains(_ algorithm: CompressionAlgorithm) -> Bool { contains(Self(algorithm)) }

    /// What `grpc-accept-encoding` says for this set: `identity` is always accepted.
    public var acceptEncoding: String {
        let names = CompressionAlgorithm.allCases.filter(contains).map { "\($0.name)" }
        return (["identity"] + names).joined(separator: ",")
    }
}
