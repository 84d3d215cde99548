internal import CNghttp2

/// Header fields of an answer, sent without a copy: the block must outlive the stream that it answers.
///
/// A handle without reference counting: whoever makes a block ends it with ``destroy()``.
public struct FieldBlock {
    /// One field of an answer.
    public struct Field {
        public var name: String
        public var value: String
        /// Whether the peer may keep the field in its compression table: no for values that are never repeated.
        public var isRepeated: Bool

        /// A field; `name` in lower case, both without bytes that HTTP/2 forbids in fields.
        public init(_ name: String, _ value: String, isRepeated: Bool = true) {
            self.name = name
            self.value = value
            self.isRepeated = isRepeated
        }
    }

    let fields: UnsafeMutableBufferPointer<nghttp2_nv>

    /// A block of `fields`, pseudo-headers first.
    public init(_ fields: [Field]) {
        self.fields = .allocate(capacity: fields.count)
        for (index, field) in fields.enumerated() {
            let name = copy(field.name)
            let value = copy(field.value)
            let flags =
                NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue
                | (field.isRepeated ? NGHTTP2_NV_FLAG_NONE.rawValue : NGHTTP2_NV_FLAG_NO_INDEX.rawValue)
            self.fields.initializeElement(
                at: index,
                to: nghttp2_nv(
                    name: name.baseAddress, value: value.baseAddress, namelen: name.count, valuelen: value.count,
                    flags: UInt8(flags)))
        }
    }

    /// Releases the fields.
    public func destroy() {
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
