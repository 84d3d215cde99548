import FletchWire
import Testing

@testable import FletchJSON

@Suite struct FileTypesTests {
    /// Where two threads read a file at the same time, the types of one of them are dropped.
    @Test func typesInCirclesGoWithTheirFile() {
        weak var type: MessageType?
        do {
            // syntax = "proto3"; message N { N n = 1; }
            let file = FileDescriptor(
                name: "n.proto", fingerprint: "", dependencies: [], symbols: ["N"],
                serialized: "\"\u{15}\n\u{1}N\u{12}\u{10}\n\u{1}n\u{18}\u{1} \u{1}(\u{b}2\u{2}.NR\u{1}nb\u{6}proto3")
            type = FileTypes.of(file).message("N")
            #expect(type?.fields.count == 1)
        }
        #expect(type == nil)
    }
}
