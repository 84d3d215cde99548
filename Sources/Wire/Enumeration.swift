/// An enumeration of a `.proto` file: open, as any number may arrive from a peer with a newer schema.
public protocol Enumeration: RawRepresentable, PlainElement, Sendable, Hashable, CustomStringConvertible
where RawValue == Int32 {
    init(rawValue: Int32)
    /// The value's name in the `.proto` file; nil where the schema does not name it.
    var name: StaticString? { get }
}

extension Enumeration {
    /// The value's name in the `.proto` file, or its number.
    public var description: String { name.map { "\($0)" } ?? String(rawValue) }
}
