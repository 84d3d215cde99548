/// Strings in two tensors: string `i` is the bytes `offsets[i]..<offsets[i + 1]`.
///
/// All of it is checked when it is made: offsets rise from 0 to the number of bytes, and every string is UTF-8, not
/// empty and at most ``longestString`` bytes long. Valid as long as the tensors are.
public struct StringColumn: @unchecked Sendable {
    /// A thousand ids of this length still fit a gRPC message of the usual limit, 4 MiB.
    public static let longestString = 1024

    /// Where each string starts, and after them where the last one ends.
    public let offsets: UnsafeBufferPointer<UInt64>
    /// The strings, one after another.
    public let bytes: UnsafeBufferPointer<UInt8>

    /// Takes U64 `offsets` and U8 `bytes`; where `isChecked`, they were checked before.
    public init(offsets: TensorView, bytes: TensorView, isChecked: Bool = false) throws(TableError) {
        let starts = try offsets.elements(as: UInt64.self, shape: [nil])
        let text = try bytes.elements(as: UInt8.self, shape: [nil])
        if isChecked {
            self.init(checkedOffsets: starts, bytes: text)
        } else {
            try self.init(offsets: starts, bytes: text) { reason in offsets.error(reason) }
        }
    }

    /// Takes offsets and bytes from memory; `error` makes the error of a reason.
    init(
        offsets: UnsafeBufferPointer<UInt64>, bytes: UnsafeBufferPointer<UInt8>, error: (String) -> TableError
    ) throws(TableError) {
        self.init(checkedOffsets: offsets, bytes: bytes)
        guard offsets.first == 0, offsets.last == UInt64(bytes.count) else {
            throw error("does not run from 0 to \(bytes.count), the number of bytes")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw error("delimits strings that are not UTF-8")
        }
        for index in 0..<count {
            let (start, end) = (offsets[index], offsets[index + 1])
            guard start < end else { throw error(start == end ? "has the empty string \(index)" : "falls at \(index)") }
            guard end - start <= Self.longestString else {
                throw error("has string \(index) of \(end - start) bytes, more than \(Self.longestString)")
            }
            // The bytes as a whole are UTF-8; so is each string that starts with the first byte of a character.
            guard end <= bytes.count, bytes[Int(start)] & 0b1100_0000 != 0b1000_0000 else {
                throw error("cuts a character in two at string \(index)")
            }
        }
    }

    /// Takes offsets and bytes that were checked before.
    init(checkedOffsets offsets: UnsafeBufferPointer<UInt64>, bytes: UnsafeBufferPointer<UInt8>) {
        self.offsets = offsets
        self.bytes = bytes
    }

    /// The number of strings.
    @inlinable public var count: Int { offsets.count - 1 }

    /// The bytes of one string, UTF-8.
    @inlinable @inline(__always) public subscript(index: Int) -> UnsafeRawBufferPointer {
        let start = Int(offsets[index])
        let end = Int(offsets[index + 1])
        return UnsafeRawBufferPointer(start: bytes.baseAddress! + start, count: end - start)
    }
}
