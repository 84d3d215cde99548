internal import FletchCompression
internal import FletchHTTP2
internal import FletchWire

/// The metadata with which every answer says what the server was built with: the fingerprint of the file that declares
/// the method's service. Nothing for methods without a schema.
func schemaFields(_ service: ServiceDescriptor?) -> [FieldBlock.Field] {
    service.map { [.init("fletch-schema", $0.file.fingerprint)] } ?? []
}

/// The header fields of an answer that is more than a status.
func answerHead(encoding: CompressionAlgorithm? = nil, _ metadata: [FieldBlock.Field]) -> FieldBlock {
    let encoding = encoding.map { [FieldBlock.Field("grpc-encoding", "\($0.name)")] } ?? []
    return FieldBlock([.init(":status", "200"), .init("content-type", "application/grpc")] + encoding + metadata)
}

/// The header fields of a method's answers to which its handler adds none, made once.
///
/// A handle without reference counting: whoever makes one ends it with ``destroy()``.
struct AnswerHeads {
    /// Of answers that are not compressed.
    let plain: FieldBlock
    private let compressed: UnsafeMutableBufferPointer<FieldBlock>

    init(_ service: ServiceDescriptor?) {
        let schema = schemaFields(service)
        plain = answerHead(schema)
        compressed = .allocate(capacity: CompressionAlgorithm.allCases.count)
        for algorithm in CompressionAlgorithm.allCases {
            compressed.initializeElement(
                at: Int(algorithm.rawValue), to: answerHead(encoding: algorithm, schema))
        }
    }

    /// Of answers that are, or whose stream may be, compressed so.
    subscript(_ encoding: CompressionAlgorithm?) -> FieldBlock {
        guard let encoding else { return plain }
        return compressed[Int(encoding.rawValue)]
    }

    func destroy() {
        plain.destroy()
        for head in compressed { head.destroy() }
        compressed.deallocate()
    }
}
