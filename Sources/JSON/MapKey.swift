/// The key of a map's entry, in the order in which entries are written.
enum MapKey: Hashable, Comparable {
    case signed(Int64)
    case unsigned(UInt64)
    case bool(Bool)
    case string([UInt8])

    static func < (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.signed(let a), .signed(let b)): a < b
        case (.unsigned(let a), .unsigned(let b)): a < b
        case (.bool(let a), .bool(let b)): !a && b
        case (.string(let a), .string(let b)): a.lexicographicallyPrecedes(b)
        default: false
        }
    }

    /// What JSON has as a member's name.
    var text: String {
        switch self {
        case .signed(let number): String(number)
        case .unsigned(let number): String(number)
        case .bool(let bool): String(bool)
        case .string(let bytes): String(decoding: bytes, as: UTF8.self)
        }
    }
}
