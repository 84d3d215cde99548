internal import FletchCompression

func bytes(hex text: String) -> [UInt8] {
    var rest = text[...]
    var bytes: [UInt8] = []
    while !rest.isEmpty {
        bytes.append(UInt8(rest.prefix(2), radix: 16)!)
        rest = rest.dropFirst(2)
    }
    return bytes
}

extension Decompressor {
    func unpack(
        _ packed: [UInt8], _ algorithm: CompressionAlgorithm, limit: Int = 1 << 20
    ) throws(DecompressionError) -> [UInt8] {
        // A copy of its own, so that the address sanitizer sees a read past the end.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: packed.count, alignment: 1)
        defer { memory.deallocate() }
        memory.copyBytes(from: packed)
        return Array(try decompress(UnsafeRawBufferPointer(memory), algorithm, limit: limit))
    }

    /// The error that these bytes meet; nil where they meet none.
    func refusal(_ packed: [UInt8], _ algorithm: CompressionAlgorithm, limit: Int = 1 << 20) -> DecompressionError? {
        do throws(DecompressionError) {
            _ = try unpack(packed, algorithm, limit: limit)
            return nil
        } catch {
            return error
        }
    }
}

extension Compressor {
    func pack(_ plain: [UInt8], _ algorithm: CompressionAlgorithm, headroom: Int = 5) -> [UInt8]? {
        plain.withUnsafeBytes { compress($0, algorithm, headroom: headroom).map(Array.init) }
    }
}
