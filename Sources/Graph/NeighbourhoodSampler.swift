internal import Glibc
internal import LinearAlgebra

/// Which edges a neighbourhood follows.
public enum EdgeDirection: Sendable {
    /// From a node to the targets of its edges.
    case out
    /// From a node to the sources of the edges that enter it.
    case `in`
}

/// A neighbourhood for every row of a graph.
public struct Neighbourhoods: Sendable {
    /// Where each row's neighbours begin; one more entry than rows.
    public var offsets: [Int]
    /// The neighbours, row after row. A neighbour drawn several times stands there several times.
    public var nodes: [UInt32]
    /// The weight of the edge by which each neighbour was reached; the graph's mean weight where several edges lead there.
    public var weights: [Float]
}

/// How many neighbours pass their messages to a node, and which.
///
/// The degree-biased rule is that of BLADE (WSDM 2023) as far as it is public: sizes follow a power law of the degree,
/// so that nodes of low degree get larger neighbourhoods, and neighbours of high degree are drawn more often.
public enum NeighbourhoodSampler: Hashable, Sendable {
    /// All neighbours.
    case full
    /// At most `fanout` neighbours, drawn evenly without replacement.
    case uniform(fanout: Int)
    /// Between `minimum` and `maximum` neighbours, more where the degree is lower; see ``DegreeBias``.
    case degreeBiased(minimum: Int, maximum: Int)

    /// Draws a neighbourhood for every row.
    ///
    /// - Parameters:
    ///   - graph: the graph to draw from.
    ///   - direction: along which edges.
    ///   - isMasked: by edge number, the edges that must not be used; nil uses all.
    ///   - seed: the same seed gives the same neighbourhoods, on any number of threads.
    public func sample(
        _ graph: DirectedGraph, _ direction: EdgeDirection, masking isMasked: [Bool]? = nil, seed: UInt64
    ) -> Neighbourhoods {
        let adjacency = Adjacency(graph, direction, isMasked: isMasked)
        let full = adjacency.all()
        switch self {
        case .full:
            return full
        case .uniform(let fanout):
            return full.drawn(seed: seed) { row, generator, draws in
                draws.appendEvenly(from: full, row: row, count: fanout, using: &generator)
            }
        case .degreeBiased(let minimum, let maximum):
            let bias = DegreeBias(graph, direction, minimum: minimum, maximum: maximum)
            let walker = BiasedWalker(full, graph: graph)
            return full.drawn(seed: seed) { row, generator, draws in
                let size = bias.size(degree: full.offsets[row + 1] - full.offsets[row])
                walker.append(to: &draws, row: row, count: size, using: &generator)
            }
        }
    }
}

extension NeighbourhoodSampler: LosslessStringConvertible {
    /// `full`, `uniform:FANOUT` or `biased:MINIMUM:MAXIMUM`.
    public var description: String {
        switch self {
        case .full: "full"
        case .uniform(let fanout): "uniform:\(fanout)"
        case .degreeBiased(let minimum, let maximum): "biased:\(minimum):\(maximum)"
        }
    }

    /// Reads a ``description``, also without the sizes; nil where it is none or ``isValid`` would be false.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.dropFirst().compactMap { Int($0) }
        guard numbers.count == parts.count - 1 else { return nil }
        switch (parts[0], numbers.count) {
        case ("full", 0): self = .full
        case ("uniform", 0): self = .uniform(fanout: 10)
        case ("uniform", 1): self = .uniform(fanout: numbers[0])
        case ("biased", 0): self = .degreeBiased(minimum: 4, maximum: 32)
        case ("biased", 2): self = .degreeBiased(minimum: numbers[0], maximum: numbers[1])
        default: return nil
        }
        guard isValid else { return nil }
    }

    /// The sizes that a neighbourhood may be given; far more neighbours than messages are worth averaging.
    public static let possibleSizes = 1...65_536

    /// Whether the sizes are possible and in order.
    public var isValid: Bool {
        switch self {
        case .full: true
        case .uniform(let fanout): Self.possibleSizes.contains(fanout)
        case .degreeBiased(let minimum, let maximum):
            Self.possibleSizes.contains(minimum) && Self.possibleSizes.contains(maximum) && minimum <= maximum
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

/// One direction of a graph without its masked edges.
private struct Adjacency {
    let graph: DirectedGraph
    let direction: EdgeDirection
    let isMasked: [Bool]?

    init(_ graph: DirectedGraph, _ direction: EdgeDirection, isMasked: [Bool]?) {
        precondition(isMasked.map { $0.count == graph.edgeCount } ?? true, "one mask entry for each edge")
        self.graph = graph
        self.direction = direction
        self.isMasked = isMasked
    }

    func all() -> Neighbourhoods {
        let isOut = direction == .out
        guard let isMasked else {
            return Neighbourhoods(
                offsets: isOut ? graph.outOffsets : graph.inOffsets, nodes: isOut ? graph.outTargets : graph.inSources,
                weights: isOut ? graph.weights : graph.inEdges.map { graph.weights[Int($0)] })
        }
        var result = Neighbourhoods(offsets: [0], nodes: [], weights: [])
        result.reserve(rows: graph.nodeCount, neighbours: graph.edgeCount)
        for row in 0..<graph.nodeCount {
            for place in isOut ? graph.outRange(row) : graph.inRange(row) {
                let number = isOut ? place : Int(graph.inEdges[place])
                if isMasked[number] { continue }
                result.nodes.append(isOut ? graph.outTargets[place] : graph.inSources[place])
                result.weights.append(graph.weights[number])
            }
            result.offsets.append(result.nodes.count)
        }
        return result
    }
}

extension Neighbourhoods {
    fileprivate mutating func reserve(rows: Int, neighbours: Int) {
        offsets.reserveCapacity(rows + 1)
        nodes.reserveCapacity(neighbours)
        weights.reserveCapacity(neighbours)
    }

    /// Neighbourhoods drawn row by row, each row from its own stream of the seed.
    fileprivate func drawn(
        seed: UInt64, _ draw: (_ row: Int, _ generator: inout SeededGenerator, _ draws: inout Neighbourhoods) -> Void
    ) -> Neighbourhoods {
        var draws = Neighbourhoods(offsets: [0], nodes: [], weights: [])
        draws.reserve(rows: offsets.count - 1, neighbours: nodes.count)
        for row in 0..<offsets.count - 1 {
            var generator = SeededGenerator(seed: seed, stream: UInt64(row))
            draw(row, &generator, &draws)
            draws.offsets.append(draws.nodes.count)
        }
        return draws
    }

    private mutating func append(_ place: Int, of full: Neighbourhoods) {
        nodes.append(full.nodes[place])
        weights.append(full.weights[place])
    }

    /// Selection sampling (Knuth, algorithm S): every subset of the size is equally likely, in ascending order.
    fileprivate mutating func appendEvenly(
        from full: Neighbourhoods, row: Int, count: Int, using generator: inout SeededGenerator
    ) {
        var left = full.offsets[row + 1] - full.offsets[row]
        var wanted = min(count, left)
        for place in full.offsets[row]..<full.offsets[row + 1] where wanted > 0 {
            if generator.uniform(below: left) < wanted {
                append(place, of: full)
                wanted -= 1
            }
            left -= 1
        }
    }
}

/// Draws neighbours with probability proportional to their degree, and walks on where there are too few.
private struct BiasedWalker {
    let full: Neighbourhoods
    /// Running sums of the neighbours' degrees; one more entry than neighbours.
    let cumulative: [Int]
    let meanWeight: Float

    /// Steps of the walks that extend a small neighbourhood: to nodes two or three edges away.
    static let walkLengths = 2...3

    init(_ full: Neighbourhoods, graph: DirectedGraph) {
        self.full = full
        var sum = 0
        var cumulative = [0]
        cumulative.reserveCapacity(full.nodes.count + 1)
        for node in full.nodes {
            sum += graph.degree(Int(node))
            cumulative.append(sum)
        }
        self.cumulative = cumulative
        // In double precision: beyond 2^24 edges a running Float sum would stand still.
        let weight = full.weights.reduce(0.0) { $0 + Double($1) }
        meanWeight = Float(weight / Double(max(full.weights.count, 1)))
    }

    /// Where more neighbours than `count` exist, draws `count` of them with replacement; otherwise takes them all and
    /// makes up the rest by walks. A walk that ends in a dead end or at its start adds nothing.
    func append(to draws: inout Neighbourhoods, row: Int, count: Int, using generator: inout SeededGenerator) {
        let places = full.offsets[row]..<full.offsets[row + 1]
        guard !places.isEmpty else { return }
        if places.count > count {
            for _ in 0..<count {
                let place = draw(from: row, using: &generator)!
                draws.nodes.append(full.nodes[place])
                draws.weights.append(full.weights[place])
            }
            return
        }
        draws.nodes.append(contentsOf: full.nodes[places])
        draws.weights.append(contentsOf: full.weights[places])
        for _ in places.count..<count {
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
            row = Int(full.nodes[place])
        }
        return row
    }

    /// The place of a neighbour, by binary search in the running sums; nil where there is none.
    private func draw(from row: Int, using generator: inout SeededGenerator) -> Int? {
        var low = full.offsets[row]
        var high = full.offsets[row + 1]
        guard low < high else { return nil }
        let drawn = cumulative[low] + generator.uniform(below: cumulative[high] - cumulative[low])
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if cumulative[middle] <= drawn { low = middle } else { high = middle }
        }
        return low
    }
}
