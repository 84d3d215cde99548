internal import CNghttp2

/// Header fields of an answer off the hot path, an error for example: gathered, then copied by the session.
public struct ResponseFields: ~Copyable {
    private var bytes: [UInt8] = []
    private var lengths: [(name: Int, value: Int)] = []

    public init() {}

    /// Adds a field; `name` in lower case. A name or value that HTTP/2 forbids must not get here.
    public mutating func append(_ name: some Sequence<UInt8>, _ value: some Sequence<UInt8>) {
        let start = bytes.count
        bytes.append(contentsOf: name)
        let middle = bytes.count
        bytes.append(contentsOf: value)
        lengths.append((middle - start, bytes.count - middle))
    }

    public mutating func append(_ name: String, _ value: String) { append(name.utf8, value.utf8) }

    borrowing func withFields<Result>(_ body: (UnsafeBufferPointer<nghttp2_nv>) -> Result) -> Result {
        bytes.withUnsafeBufferPointer { bytes in
            var at = UnsafeMutablePointer(mutating: bytes.baseAddress)
            let fields = lengths.map { length in
                let name = at
                let value = at.map { $0 + length.name }
                at = value.map { $0 + length.value }
                return nghttp2_nv(
                    name: name, value: value, namelen: length.name, valuelen: length.value,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
            }
            return fields.withUnsafeBufferPointer(body)
        }
    }
}
