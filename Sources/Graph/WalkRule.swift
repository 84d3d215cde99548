internal import LinearAlgebra

/// The ends of short random walks, each step to an even draw of the neighbours. A walk that meets a dead end, or ends
/// where it began, adds nothing.
public struct WalkRule: NeighbourhoodRule {
    public static let name = "walks"
    private let count: Int
    private let length: Int

    public var sizes: [Int] { [count, length] }
    public var isOrdered: Bool { true }

    /// So many walks of so many steps from each node.
    public init(count: Int, length: Int) {
        self.count = count
        self.length = length
    }

    public init?(sizes: [Int]) {
        guard sizes.isEmpty || sizes.count == 2 else { return nil }
        self.init(count: sizes.first ?? 16, length: sizes.last ?? 2)
    }

    public func drawer(_ adjacency: Adjacency) -> Drawer {
        let weight = adjacency.graph.meanWeight
        return { row, generator, draws in
            for _ in 0..<count {
                var end: Int? = row
                for _ in 0..<length {
                    guard let node = end else { break }
                    end = adjacency.evenNeighbour(of: node, using: &generator)
                }
                guard let end, end != row else { continue }
                draws.nodes.append(UInt32(end))
                draws.weights.append(weight)
            }
        }
    }
}

extension Adjacency {
    /// An even draw of a row's neighbours; nil where there is none.
    fileprivate func evenNeighbour(of row: Int, using generator: inout SeededGenerator) -> Int? {
        let places = places(row)
        let degree = degree(row)
        guard degree > 0 else { return nil }
        while true {
            let place = places.lowerBound + generator.uniform(below: places.count)
            if !isMasked(place) { return Int(node(place)) }
        }
    }
}
