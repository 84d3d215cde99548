internal import Glibc
internal import LinearAlgebra

/// Neighbourhoods that are larger where the degree is lower (see ``DegreeBias``), drawn with probability proportional to
/// the neighbours' degree, and extended by walks where there are too few: the rule of BLADE (WSDM 2023) as far as it is
/// public.
public struct BiasedRule: NeighbourhoodRule {
    public static let name = "biased"
    private let minimum: Int
    private let maximum: Int

    public var sizes: [Int] { [minimum, maximum] }
    public var isOrdered: Bool { minimum <= maximum }

    /// Between `minimum` and `maximum` neighbours.
    public init(minimum: Int, maximum: Int) {
        self.minimum = minimum
        self.maximum = maximum
    }

    public init?(sizes: [Int]) {
        guard sizes.isEmpty || sizes.count == 2 else { return nil }
        self.init(minimum: sizes.first ?? 4, maximum: sizes.last ?? 32)
    }

    public func drawer(_ adjacency: Adjacency) -> Drawer {
        let bias = DegreeBias(adjacency.graph, adjacency.direction, minimum: minimum, maximum: maximum)
        let walker = BiasedWalker(adjacency)
        return { row, generator, draws in
            let degree = adjacency.degree(row)
            walker.append(to: &draws, row: row, degree: degree, count: bias.size(degree: degree), using: &generator)
        }
    }
}

/// How large the neighbourhood of a node is, from its degree d:
/// `clamp(round(maximum * max(d, 1)^-(alpha - 1)), minimum, maximum)` with the exponent of the graph's own degrees,
/// `alpha = 1 + N / sum(ln(max(d, 1)))` (the maximum-likelihood estimate for a smallest degree of 1).
public struct DegreeBias: Sendable {
    /// The estimated exponent of the degree distribution.
    public let exponent: Double
    private let minimum: Int
    private let maximum: Int

    /// Estimates the exponent from the degrees in the given direction.
    public init(_ graph: DirectedGraph, _ direction: EdgeDirection, minimum: Int, maximum: Int) {
        precondition(minimum >= 1 && minimum <= maximum, "neighbourhood sizes need 1 <= minimum <= maximum")
        self.minimum = minimum
        self.maximum = maximum
        let logarithms = (0..<graph.nodeCount).reduce(0.0) { sum, row in
            let degree = direction == .out ? graph.outDegree(row) : graph.inDegree(row)
            return sum + log(Double(max(degree, 1)))
        }
        // Where no degree exceeds 1 there is no power law to fit, and every node gets the maximum.
        exponent = logarithms > 0 ? 1 + Double(graph.nodeCount) / logarithms : 1
    }

    /// The size of the neighbourhood of a node of this degree.
    public func size(degree: Int) -> Int {
        let size = (Double(maximum) * pow(Double(max(degree, 1)), -(exponent - 1))).rounded()
        return min(max(Int(size), minimum), maximum)
    }
}

/// Draws neighbours with probability proportional to their degree, and walks on where there are too few.
private struct BiasedWalker: Sendable {
    let adjacency: Adjacency
    /// Running sums of the neighbours' degrees over all places, of which masked ones have none; one more entry.
    let cumulative: [Int]
    let meanWeight: Float

    /// Steps of the walks that extend a small neighbourhood: to nodes two or three edges away.
    static let walkLengths = 2...3

    init(_ adjacency: Adjacency) {
        self.adjacency = adjacency
        let graph = adjacency.graph
        var sum = 0
        var cumulative = [0]
        cumulative.reserveCapacity(graph.edgeCount + 1)
        for place in 0..<graph.edgeCount {
            if !adjacency.isMasked(place) { sum += graph.degree(Int(adjacency.node(place))) }
            cumulative.append(sum)
        }
        self.cumulative = cumulative
        meanWeight = graph.meanWeight
    }

    /// Where more neighbours than `count` exist, draws `count` of them with replacement; otherwise takes them all and
    /// makes up the rest by walks. A walk that ends in a dead end or at its start adds nothing.
    func append(
        to draws: inout Neighbourhoods, row: Int, degree: Int, count: Int, using generator: inout SeededGenerator
    ) {
        guard degree > 0 else { return }
        if degree > count {
            for _ in 0..<count { draws.append(draw(from: row, using: &generator)!, of: adjacency) }
            return
        }
        for place in adjacency.places(row) where !adjacency.isMasked(place) { draws.append(place, of: adjacency) }
        for _ in degree..<count {
            let length = Self.walkLengths.lowerBound + generator.uniform(below: Self.walkLengths.count)
            guard let end = walk(from: row, length: length, using: &generator), end != row else { continue }
            draws.nodes.append(UInt32(end))
            draws.weights.append(meanWeight)
        }
    }

    private func walk(from row: Int, length: Int, using generator: inout SeededGenerator) -> Int? {
        var row = row
        for _ in 0..<length {
            guard let place = draw(from: row, using: &generator) else { return nil }
            row = Int(adjacency.node(place))
        }
        return row
    }

    /// The place of a neighbour, by binary search in the running sums; nil where there is none.
    private func draw(from row: Int, using generator: inout SeededGenerator) -> Int? {
        let places = adjacency.places(row)
        var low = places.lowerBound
        var high = places.upperBound
        guard cumulative[low] < cumulative[high] else { return nil }
        let drawn = cumulative[low] + generator.uniform(below: cumulative[high] - cumulative[low])
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if cumulative[middle] <= drawn { low = middle } else { high = middle }
        }
        return low
    }
}
