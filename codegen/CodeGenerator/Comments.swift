/// The comments of a `.proto` file, by the place that they belong to.
struct Comments {
    /// Field numbers within descriptor.proto, from the file down.
    enum Step {
        static let message: Int32 = 4
        static let enumeration: Int32 = 5
        static let service: Int32 = 6
        static let field: Int32 = 2
        static let nestedMessage: Int32 = 3
        static let nestedEnumeration: Int32 = 4
        static let oneof: Int32 = 8
        static let value: Int32 = 2
        static let method: Int32 = 2
    }

    private var texts: [[Int32]: String] = [:]

    init(_ file: FileDescriptorProto) {
        for location in file.sourceCodeInfo?.location ?? [] {
            let comments = [location.leadingComments, location.trailingComments].filter { !$0.isEmpty }
            guard !comments.isEmpty else { continue }
            texts[location.path] = comments.map { Self.clean(String(decoding: $0, as: UTF8.self)) }.joined(
                separator: "\n\n")
        }
    }

    /// The comment at a path; a sentence made from the name where there is none, as public things are documented.
    subscript(_ path: [Int32], or name: String, isDeprecated isDeprecated: Bool?) -> String {
        (texts[path] ?? name) + (isDeprecated == true ? "\n\nDeprecated." : "")
    }

    /// Without the space after each comment mark and the newline at the end. A line ends where it ends for Swift, at a
    /// carriage return too: what follows must not become code.
    private static func clean(_ comment: String) -> String {
        var lines = comment.replacing("\0", with: "").split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        ).map { line in
            var line = line.hasPrefix(" ") ? line.dropFirst() : line
            while line.hasSuffix(" ") { line.removeLast() }
            return String(line)
        }
        while lines.last == "" { lines.removeLast() }
        return lines.joined(separator: "\n")
    }
}
