internal import CNghttp2

/// Header fields that are the same for many answers: built once, sent without a copy.
///
/// The block must outlive every session that sends it.
public final class FieldBlock {
    let fields: UnsafeMutableBufferPointer<nghttp2_nv>

    /// A block of `fields`, names in lower case, pseudo-headers first.
    public init(_ fields: [(name: String, value: String)]) {
        self.fields = .allocate(capacity: fields.count)
        let flags = UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
        for (index, field) in fields.enumerated() {
            let name = copy(field.name)
            let value = copy(field.value)
            self.fields.initializeElement(
                at: index,
                to: nghttp2_nv(
                    name: name.baseAddress, value: value.baseAddress, namelen: name.count, valuelen: value.count,
                    flags: flags))
        }
    }

    deinit {
        for field in fields {
            field.name.deallocate()
            field.value.deallocate()
        }
        fields.deallocate()
    }
}

private func copy(_ text: String) -> UnsafeMutableBufferPointer<UInt8> {
    let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, text.utf8.count))
    _ = bytes.initialize(from: text.utf8)
    return UnsafeMutableBufferPointer(rebasing: bytes[..<text.utf8.count])
}
