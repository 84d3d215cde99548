internal import LinearAlgebra

/// At most so many neighbours, drawn evenly without replacement.
public struct UniformRule: NeighbourhoodRule {
    public static let name = "uniform"
    private let fanout: Int

    public var sizes: [Int] { [fanout] }
    public var isOrdered: Bool { true }

    /// At most `fanout` neighbours.
    public init(fanout: Int) { self.fanout = fanout }

    public init?(sizes: [Int]) {
        guard sizes.count <= 1 else { return nil }
        self.init(fanout: sizes.first ?? 10)
    }

    /// Selection sampling (Knuth, algorithm S): every subset of the size is equally likely, in ascending order.
    public func drawer(_ adjacency: Adjacency) -> Drawer {
        { row, generator, draws in
            var left = adjacency.degree(row)
            var wanted = min(fanout, left)
            for place in adjacency.places(row) where wanted > 0 && !adjacency.isMasked(place) {
                if generator.uniform(below: left) < wanted {
                    draws.append(place, of: adjacency)
                    wanted -= 1
                }
                left -= 1
            }
        }
    }
}
