/// Writes indented source text.
struct Printer {
    private(set) var text = ""
    private var indentation = 0

    /// Writes lines, each at the current indentation; an empty one stays empty.
    mutating func print(_ lines: String...) {
        for line in lines { printLine(line) }
    }

    /// Writes an opening line, the body one level deeper, and a closing line.
    mutating func block(
        _ opening: String, closing: String = "}", _ body: (inout Printer) throws -> Void
    ) rethrows {
        printLine(opening)
        try indent(body)
        printLine(closing)
    }

    /// Writes the body one level deeper.
    mutating func indent(_ body: (inout Printer) throws -> Void) rethrows {
        indentation += 1
        try body(&self)
        indentation -= 1
    }

    /// Writes the text of a comment in the `.proto` file as a documentation comment.
    mutating func document(_ comment: String) {
        for line in comment.split(separator: "\n", omittingEmptySubsequences: false) {
            printLine(line.isEmpty ? "///" : "/// " + line)
        }
    }

    private mutating func printLine(_ line: String) {
        if !line.isEmpty { text += String(repeating: "    ", count: indentation) + line }
        text += "\n"
    }
}
