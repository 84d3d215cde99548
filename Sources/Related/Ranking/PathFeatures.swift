internal import Foundation
internal import Graph

/// What is counted of the paths from a node u to a node v, whose edges may lead either way. Every count is 0 where there
/// is no such path.
public enum PathFeature: Int, CaseIterable, Codable, Sendable {
    /// u -> m <- w -> v, divided by the in-degree of m and the root of the out-degree of w: normalised co-citation.
    case coCitation
    /// u -> m -> v, divided by the out-degree of m.
    case forward
    /// u <- m -> v, divided by the out-degree of m.
    case commonSource
    /// u -> m <- v, divided by the in-degree of m.
    case commonTarget
    /// u <- m <- v, divided by the in-degree of m.
    case backward
    /// u <- v: the share of u's edges that goes to each such v if u returns edges as often as it did. The more edges into
    /// u are not returned, the less each of them says; counted alike, reverses would fill the lists of popular nodes.
    case returned
}

/// Counts weighted paths of up to three edges from one source to all nodes it reaches.
///
/// A node with more neighbours than ``mostNeighbours`` on the side to be passed leads on to none of them: it would add
/// less than the inverse of that to any count, and a graph's few hubs would take most of the time.
struct PathFeatures: Sendable {
    /// One number for each ``PathFeature``, by its raw value.
    typealias Counts = SIMD8<Float>

    /// Neighbours beyond which a node is no path's middle.
    static let mostNeighbours = 1000

    let graph: PathGraph
    /// What passing a node forth and back adds to a count, by node; 0 for hubs.
    private let outShares: [Float]
    private let inShares: [Float]
    private let outRoots: [Float]
    /// The share of a node's edges that go to one of those whose edge it does not return yet.
    private let returns: [Float]

    init(_ graph: PathGraph) {
        self.graph = graph
        let nodes = 0..<graph.nodeCount
        func share(_ degree: Int) -> Float { degree <= Self.mostNeighbours ? 1 / Float(max(degree, 1)) : 0 }
        outShares = nodes.map { share(graph.out.range($0).count) }
        inShares = nodes.map { share(graph.in.range($0).count) }
        outRoots = outShares.map { $0.squareRoot() }
        let mutual = nodes.map { graph.mutualCount($0) }
        let overall = Float(mutual.reduce(0, +)) / Float(max(graph.edgeCount, 1))
        // The share of returned edges is drawn to that of the whole graph as by two edges more.
        returns = nodes.map { node in
            let share = (Float(mutual[node]) + 2 * overall) / Float(graph.out.range(node).count + 2)
            return share / Float(max(1, graph.in.range(node).count - mutual[node]))
        }
    }

    /// Leaves the counts of every node that paths from `source` reach, the source perhaps among them, in `paths`.
    func count(from source: Int, into paths: PathCounts) {
        paths.removeAll()
        for edge in graph.out.range(source) {
            let middle = Int(graph.out.nodes[edge])
            addOut(middle, outShares[middle], .forward, to: paths)
            addIn(middle, inShares[middle], .commonTarget, to: paths)
        }
        // What has a target in common with the source is known now, and leads on.
        for index in 0..<paths.reached {
            let (node, share) = (Int(paths.nodes[index]), paths[index][PathFeature.commonTarget.rawValue])
            addOut(node, share * outRoots[node], .coCitation, to: paths)
        }
        for place in graph.in.range(source) {
            let middle = Int(graph.in.nodes[place])
            addOut(middle, outShares[middle], .commonSource, to: paths)
            addIn(middle, inShares[middle], .backward, to: paths)
            paths.add(returns[source], .returned, to: graph.in.nodes[place])
        }
    }

    @inline(__always)
    private func addOut(_ node: Int, _ value: Float, _ feature: PathFeature, to paths: PathCounts) {
        guard value > 0 else { return }
        for edge in graph.out.range(node) { paths.add(value, feature, to: graph.out.nodes[edge]) }
    }

    @inline(__always)
    private func addIn(_ node: Int, _ value: Float, _ feature: PathFeature, to paths: PathCounts) {
        guard value > 0 else { return }
        for place in graph.in.range(node) { paths.add(value, feature, to: graph.in.nodes[place]) }
    }
}

/// The counts of the nodes that one source reaches; the memory for many sources, one after another, 40 bytes a node of
/// which only what was reached is touched. Not for two threads.
final class PathCounts {
    /// How many nodes are reached.
    private(set) var reached = 0
    /// The nodes, in the order in which they were first reached.
    let nodes: UnsafeMutablePointer<UInt32>
    private let counts: UnsafeMutablePointer<PathFeatures.Counts>
    /// The place of each node in ``nodes``, plus one; 0 where it is not reached.
    private let places: UnsafeMutablePointer<UInt32>

    init(nodeCount: Int) {
        nodes = .allocate(capacity: nodeCount)
        counts = .allocate(capacity: nodeCount)
        places = .allocate(capacity: nodeCount)
        places.initialize(repeating: 0, count: nodeCount)
    }

    deinit {
        nodes.deallocate()
        counts.deallocate()
        places.deallocate()
    }

    /// The counts of the node at a place of ``nodes``.
    subscript(index: Int) -> PathFeatures.Counts { counts[index] }

    /// The counts of a node; zeros where it is not reached.
    func counts(of node: UInt32) -> PathFeatures.Counts {
        let place = Int(places[Int(node)])
        return place == 0 ? .zero : counts[place - 1]
    }

    @inline(__always)
    fileprivate func add(_ value: Float, _ feature: PathFeature, to node: UInt32) {
        var place = Int(places[Int(node)])
        if place == 0 {
            nodes[reached] = node
            counts[reached] = .zero
            reached += 1
            place = reached
            places[Int(node)] = UInt32(place)
        }
        counts[place - 1][feature.rawValue] += value
    }

    fileprivate func removeAll() {
        for index in 0..<reached { places[Int(nodes[index])] = 0 }
        reached = 0
    }
}
