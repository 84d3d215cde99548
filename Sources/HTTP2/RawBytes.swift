public import Glibc

// Questions to the bytes of names and values, in place.

extension UnsafeRawBufferPointer {
    /// Whether every byte is greater than `limit`, which is below 0x80, and none is DEL.
    @inline(__always)
    func allAreAbove(_ limit: UInt8) -> Bool {
        guard count >= 8 else {
            for byte in self where byte <= limit || byte == 0x7F { return false }
            return true
        }
        // Eight bytes at a time; the last step overlaps what came before.
        let ones: UInt64 = 0x0101_0101_0101_0101
        let low = ones &* UInt64(limit &+ 1)
        var offset = 0
        var found: UInt64 = 0
        while true {
            let word = loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let deletes = word ^ (ones &* 0x7F)
            // A byte's top bit is set where it is less than the low one, or 0; a borrow can only add to a finding.
            found |= ((word &- low) & ~word) | ((deletes &- ones) & ~deletes)
            guard offset &+ 8 < count else { break }
            offset = Swift.min(offset &+ 8, count &- 8)
        }
        return found & (ones &* 0x80) == 0
    }

    /// Whether the bytes are exactly those of `text`.
    @inlinable @inline(__always)
    package func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && (count == 0 || memcmp(baseAddress!, text.utf8Start, count) == 0)
    }

    /// Whether the bytes are those of `text`, which is in lower case, but for the case of letters.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count {
            let byte = self[index]
            let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            guard (isUpper ? byte | 0x20 : byte) == text.utf8Start[index] else { return false }
        }
        return true
    }

    /// Without the spaces and tabs around it.
    @inline(__always)
    var withoutSurroundingSpace: UnsafeRawBufferPointer {
        guard !isEmpty, self[0] <= UInt8(ascii: " ") || self[count &- 1] <= UInt8(ascii: " ") else { return self }
        var part = self[...]
        while let first = part.first, isBlank(first) { part = part.dropFirst() }
        while let last = part.last, isBlank(last) { part = part.dropLast() }
        return UnsafeRawBufferPointer(rebasing: part)
    }
}

@inline(__always)
private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
