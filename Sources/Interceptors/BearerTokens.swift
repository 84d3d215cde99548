internal import Glibc

/// The bearer tokens of a file: one a line, lines that are empty or begin with `#` left out.
public struct BearerTokens: Sendable {
    /// Shorter tokens can be guessed.
    public static let minTokenBytes = 16
    /// More tokens than any service has callers.
    static let maxFileBytes = 1 << 20

    /// Why a file of tokens cannot be used.
    public struct Invalid: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    private let tokens: [[UInt8]]

    /// How many there are.
    public var count: Int { tokens.count }

    /// Reads a file.
    ///
    /// - Throws: Where it cannot be read, holds no token, or a line that is none, in words that name file and line.
    public init(file path: String) throws(Invalid) {
        try self.init(text: Self.read(path), file: path)
    }

    init(text: [UInt8], file path: String) throws(Invalid) {
        var tokens: [[UInt8]] = []
        for (number, line) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let token = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if token.isEmpty || token.first == UInt8(ascii: "#") { continue }
            guard token.count >= Self.minTokenBytes, token.allSatisfy(Self.isAllowed) else {
                throw Invalid(
                    description: "'\(path)', line \(number + 1): not a bearer token; write at least "
                        + "\(Self.minTokenBytes) letters, digits or -._~+/=")
            }
            tokens.append(Array(token))
        }
        guard !tokens.isEmpty else {
            throw Invalid(description: "'\(path)' holds no bearer token; write one a line")
        }
        self.tokens = tokens
    }

    /// Whether `presented` is one of the tokens. Takes the same time wherever they differ, and whichever it is.
    public func contains(_ presented: UnsafeRawBufferPointer) -> Bool {
        var isAny = false
        for token in tokens {
            var difference = token.count ^ presented.count
            for (index, byte) in presented.enumerated() { difference |= Int(byte ^ token[index % token.count]) }
            isAny = isAny || difference == 0
        }
        return isAny
    }

    /// The characters of RFC 6750, 2.1.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~+/=".utf8.contains(byte)
        }
    }

    private static func read(_ path: String) throws(Invalid) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Invalid(description: "cannot open '\(path)': \(lastError())") }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = Glibc.read(descriptor, &chunk, chunk.count), count != 0 {
            guard count > 0 else { throw Invalid(description: "cannot read '\(path)': \(lastError())") }
            text += chunk[..<count]
            guard text.count <= maxFileBytes else {
                throw Invalid(description: "'\(path)' is larger than \(maxFileBytes) bytes; it is no file of tokens")
            }
        }
        return text
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }
}
