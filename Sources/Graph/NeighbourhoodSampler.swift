public import LinearAlgebra

/// Which edges a neighbourhood follows.
@frozen public enum EdgeDirection: Sendable {
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

/// A rule by which a node's neighbourhood is drawn. A new rule is one type in a file of its own, and its place in
/// ``NeighbourhoodSampler/rules``.
public protocol NeighbourhoodRule: Sendable {
    /// The rule's name for ``NeighbourhoodSampler/description``.
    static var name: String { get }
    /// The rule's numbers, each in ``NeighbourhoodSampler/possibleSizes``, in the order of the description.
    var sizes: [Int] { get }
    /// Whether the sizes fit each other.
    var isOrdered: Bool { get }
    /// Makes the rule of its sizes, or with those of its choice where there are none; nil where the count is wrong.
    init?(sizes: [Int])
    /// What appends a row's neighbours to `draws`, which its generator decides alone. Called for many rows at once.
    func drawer(_ adjacency: Adjacency) -> Drawer

    /// Appends a row's neighbours.
    typealias Drawer = (_ row: Int, _ generator: inout SeededGenerator, _ draws: inout Neighbourhoods) -> Void
}

/// How many neighbours pass their messages to a node, and which.
public struct NeighbourhoodSampler: Sendable {
    /// The rule that decides.
    public let rule: any NeighbourhoodRule

    /// The rules by name.
    static let rules: [any NeighbourhoodRule.Type] = [FullRule.self, UniformRule.self, BiasedRule.self, WalkRule.self]

    /// Rows for one call on a core.
    private static let rowsPerChunk = 4096

    /// A sampler of a rule.
    public init(_ rule: some NeighbourhoodRule) { self.rule = rule }

    /// All neighbours.
    public static let full = NeighbourhoodSampler(FullRule())
    /// At most `fanout` neighbours, drawn evenly without replacement.
    public static func uniform(fanout: Int) -> Self { Self(UniformRule(fanout: fanout)) }
    /// Between `minimum` and `maximum` neighbours, more where the degree is lower; see ``BiasedRule``.
    public static func degreeBiased(minimum: Int, maximum: Int) -> Self {
        Self(BiasedRule(minimum: minimum, maximum: maximum))
    }
    /// The ends of `count` random walks of `length` steps.
    public static func walks(count: Int, length: Int) -> Self { Self(WalkRule(count: count, length: length)) }

    /// Draws a neighbourhood for every row.
    ///
    /// - Parameters:
    ///   - graph: the graph to draw from.
    ///   - direction: along which edges.
    ///   - masked: the edges that must not be used.
    ///   - seed: the same seed gives the same neighbourhoods, on any number of threads.
    public func sample(
        _ graph: DirectedGraph, _ direction: EdgeDirection, masking masked: EdgeFold? = nil, seed: UInt64
    ) -> Neighbourhoods {
        let draw = rule.drawer(Adjacency(graph, direction, masked: masked))
        let count = (graph.nodeCount + Self.rowsPerChunk - 1) / Self.rowsPerChunk
        var parts = [Neighbourhoods](repeating: .empty, count: count)
        parts.withUnsafeMutableBufferPointer { parts in
            let parts = parts.baseAddress
            parallelFor(count: graph.nodeCount, grain: Self.rowsPerChunk) { range in
                var part = Neighbourhoods.empty
                for row in range {
                    var generator = SeededGenerator(seed: seed, stream: UInt64(row))
                    draw(row, &generator, &part)
                    part.offsets.append(part.nodes.count)
                }
                parts![range.lowerBound / Self.rowsPerChunk] = part
            }
        }
        return Neighbourhoods(joining: parts)
    }
}

extension NeighbourhoodSampler: Hashable, LosslessStringConvertible {
    public static func == (a: Self, b: Self) -> Bool { a.description == b.description }
    public func hash(into hasher: inout Hasher) { hasher.combine(description) }

    /// The name of the rule and its sizes, such as `full`, `uniform:10`, `biased:4:32` or `walks:16:2`.
    public var description: String { ([type(of: rule).name] + rule.sizes.map(String.init)).joined(separator: ":") }

    /// Reads a ``description``, also without the sizes; nil where it is none or ``isValid`` would be false.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        let sizes = parts.dropFirst().compactMap { Int($0) }
        guard sizes.count == parts.count - 1, let type = Self.rules.first(where: { $0.name == parts[0] }),
            let rule = type.init(sizes: sizes)
        else { return nil }
        self.init(rule)
        guard isValid else { return nil }
    }

    /// The sizes that a neighbourhood may be given; far more neighbours than messages are worth averaging.
    public static let possibleSizes = 1...65_536

    /// Whether the sizes are possible and in order.
    public var isValid: Bool { rule.sizes.allSatisfy(Self.possibleSizes.contains) && rule.isOrdered }
}

/// One direction of a graph without its masked edges.
public struct Adjacency: Sendable {
    let graph: DirectedGraph
    let direction: EdgeDirection
    private let masked: EdgeFold?

    init(_ graph: DirectedGraph, _ direction: EdgeDirection, masked: EdgeFold?) {
        self.graph = graph
        self.direction = direction
        self.masked = masked
    }

    /// Where a row's neighbours stand, also those behind masked edges.
    func places(_ row: Int) -> Range<Int> { direction == .out ? graph.outRange(row) : graph.inRange(row) }
    /// The neighbour at a place.
    func node(_ place: Int) -> UInt32 { direction == .out ? graph.outTargets[place] : graph.inSources[place] }
    /// The weight of the edge at a place.
    func weight(_ place: Int) -> Float { graph.weights[number(place)] }
    /// Whether the edge at a place must not be used.
    func isMasked(_ place: Int) -> Bool { masked?.contains(number(place)) ?? false }
    /// How many neighbours of a row are not masked.
    func degree(_ row: Int) -> Int { masked == nil ? places(row).count : places(row).count { !isMasked($0) } }

    private func number(_ place: Int) -> Int { direction == .out ? place : Int(graph.inEdges[place]) }
}

extension Neighbourhoods {
    static let empty = Neighbourhoods(offsets: [0], nodes: [], weights: [])

    fileprivate init(joining parts: [Neighbourhoods]) {
        self = .empty
        offsets.reserveCapacity(parts.reduce(1) { $0 + $1.offsets.count - 1 })
        nodes.reserveCapacity(parts.reduce(0) { $0 + $1.nodes.count })
        weights.reserveCapacity(nodes.capacity)
        for part in parts {
            let begin = nodes.count
            for offset in part.offsets.dropFirst() { offsets.append(begin + offset) }
            nodes += part.nodes
            weights += part.weights
        }
    }

    mutating func append(_ place: Int, of adjacency: Adjacency) {
        nodes.append(adjacency.node(place))
        weights.append(adjacency.weight(place))
    }
}
