/// Why a message could not be read from or written as JSON.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of refusal, for code that must tell them apart.
    public enum Code: Sendable, Hashable {
        /// The text is not JSON (RFC 8259), or the bytes are not an encoded message.
        case malformed
        /// A value does not fit its field.
        case invalidValue
        /// The schema has no such field.
        case unknownField
        /// An `Any` holds a message of a type that no known file declares.
        case unknownType
        /// Messages are nested deeper than the limit.
        case tooDeep
        /// The text or the message is larger than the limit.
        case tooLarge
    }

    /// The kind of refusal.
    public var code: Code
    /// Where in the message, for example `items[3].score`; empty for the message itself.
    public var path: String
    /// What is wrong and what would be right.
    public var message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.path = ""
        self.message = message
    }

    /// The path and the message.
    public var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

/// A step from a message to a part of it.
enum PathStep {
    case field(String)
    case index(Int)
    case key(String)
}

extension [PathStep] {
    /// `items[3].names["x"]`.
    var text: String {
        reduce(into: "") { text, step in
            switch step {
            case .field(let name): text += (text.isEmpty ? "" : ".") + excerpt(name.utf8)
            case .index(let index): text += "[\(index)]"
            case .key(let key): text += "[\"\(excerpt(key.utf8))\"]"
            }
        }
    }
}

/// What an error quotes of someone's text: its beginning, on one line.
func excerpt(_ text: some Collection<UInt8>) -> String {
    let limit = 64
    let beginning = text.prefix(limit).map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: "?") : $0 }
    return String(decoding: beginning, as: UTF8.self) + (text.count > limit ? "..." : "")
}
