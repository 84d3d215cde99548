/// All neighbours.
public struct FullRule: NeighbourhoodRule {
    public static let name = "full"
    public var sizes: [Int] { [] }
    public var isOrdered: Bool { true }

    /// The one rule of its kind.
    public init() {}

    public init?(sizes: [Int]) {
        guard sizes.isEmpty else { return nil }
    }

    public func drawer(_ adjacency: Adjacency) -> Drawer {
        { row, _, draws in
            for place in adjacency.places(row) where !adjacency.isMasked(place) { draws.append(place, of: adjacency) }
        }
    }
}
