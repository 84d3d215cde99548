import FletchJSON
import Quirks
import Testing

/// What must hold for every message.
@Suite struct LawTests {
    @Test func textIsReadBackAsTheMessageThatItWasWrittenOf() throws {
        let message = QMaps(counts: ["a": 1, "b": -2], scalars: [7: QScalars(aString: "x")], levels: [true: .high])
        #expect(try QMaps(jsonString: message.jsonString()) == message)
    }
}
