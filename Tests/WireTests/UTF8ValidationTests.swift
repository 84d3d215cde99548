import Testing

@testable import FletchWire

@Suite struct UTF8ValidationTests {
    /// The bytes at which the rules of RFC 3629 change.
    private static let edges: [UInt8] = [
        0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
        0xEF,
        0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]

    private func isValid(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { isValidUTF8($0.baseAddress!, $0.baseAddress! + $0.count) }
    }

    @Test func oneAndTwoBytes() {
        for first in UInt8.min...UInt8.max {
            #expect(isValid([first]) == (String(validating: [first], as: UTF8.self) != nil))
            for second in Self.edges {
                #expect(isValid([first, second]) == (String(validating: [first, second], as: UTF8.self) != nil))
            }
        }
    }

    @Test func fourBytes() {
        for first in Self.edges {
            for second in Self.edges {
                for third in Self.edges {
                    let differing = Self.edges.filter { fourth in
                        let bytes = [first, second, third, fourth]
                        return isValid(bytes) != (String(validating: bytes, as: UTF8.self) != nil)
                    }
                    #expect(differing.isEmpty, "\(first) \(second) \(third)")
                }
            }
        }
    }

    @Test func anywhereInLongerText() {
        let text = Array("Bücher für 5 € und ein 🐈, noch mehr Text".utf8)
        #expect(isValid(text))
        for length in 1..<text.count {
            let bytes = Array(text[..<length])
            #expect(isValid(bytes) == (String(validating: bytes, as: UTF8.self) != nil))
        }
        for position in 0..<40 {
            var ascii = [UInt8](repeating: 0x61, count: 40)
            #expect(isValid(ascii))
            ascii[position] = 0xFF
            #expect(!isValid(ascii))
        }
    }
}
