import Testing

@testable import Tables

@Suite struct QuotingTests {
    @Test(arguments: [
        ("a b é 😀", "'a b é 😀'"),
        ("it's \\n", "'it\\'s \\\\n'"),
        ("\r\n\0\t\u{7f}\u{85}", "'\\r\\n\\0\\t\\u{7F}\\u{0085}'"),
        ("\u{1b}[2J\u{202e}\u{2028}", "'\\u{1B}[2J\\u{202E}\\u{2028}'"),
        (String(repeating: "é", count: 80), "'" + String(repeating: "é", count: 80) + "'"),
        (String(repeating: "é", count: 81), "'" + String(repeating: "é", count: 80) + "'... of 162 bytes"),
    ])
    func whatCouldDisguiseALineIsEscaped(text: String, quoted: String) {
        #expect(text.quoted == quoted)
    }

    @Test func anErrorIsOneLineWhateverItsParts() {
        let error = TableError(path: "a\nb", reason: "is \("c\nd".quoted)\0", remedy: "x\\n")
        #expect("\(error)" == "a\\nb: is 'c\\nd'\\0; x\\n")
    }
}
