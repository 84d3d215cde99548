extension Google_Protobuf_FieldMask: ExpressibleByArrayLiteral {
    /// The paths of fields, by their names in the `.proto` file: `["id", "owner.display_name"]`.
    public init(arrayLiteral paths: String...) { self.init(paths: paths) }

    /// Whether the mask names the field or one that it is within: `owner` covers `owner.display_name`.
    public func covers(_ path: String) -> Bool { paths.contains { Self.path($0, covers: path) } }

    /// The mask that covers the same fields with the fewest paths, in their order (field_mask.proto).
    public var canonical: Self {
        var canonical: [String] = []
        // By segments, so that what a path covers follows it: `a`, `a.b`, `a_b`.
        for path in paths.sorted(by: { $0.utf8.map(Self.rank).lexicographicallyPrecedes($1.utf8.map(Self.rank)) }) {
            if let last = canonical.last, Self.path(last, covers: path) { continue }
            canonical.append(path)
        }
        return Self(paths: canonical)
    }

    /// What is in either mask.
    public func union(_ other: Self) -> Self { Self(paths: paths + other.paths).canonical }

    /// What is in both masks.
    public func intersection(_ other: Self) -> Self {
        Self(paths: paths.filter(other.covers) + other.paths.filter(covers)).canonical
    }

    private static func path(_ path: String, covers other: String) -> Bool {
        other == path || other.hasPrefix(path + ".")
    }

    private static func rank(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: ".") ? 0 : byte }
}
