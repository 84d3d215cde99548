internal import Graph

/// The names of metrics in reports.
public enum Metric {
    static let cutoffs = [5, 10, 20]
    /// The k of the curve of HitRate over k, which is told for all test edges together.
    static let curve = [1, 2, 5, 10, 20, 50, 100]
    /// The share of one-way test edges that score higher than their reverse; a tie counts half.
    public static let directionAccuracy = "directionAccuracy"
    /// The area under the ROC curve of `f(u,v) - f(v,u)` over one-way test edges and their reverses.
    public static let directionAUC = "directionAUC"
    /// The area under the ROC curve of test edges against as many pairs without an edge; its suffix says how those were
    /// drawn (``AbsentPairs``). It pools the scores of different sources, which no ranking does.
    public static let existenceAUC = "existenceAUC"

    /// Test edges apart by the degree of their source in the train graph, which is where graphs differ in difficulty.
    static let bands: [(suffix: String, degrees: ClosedRange<Int>)] = [
        (".degree0-3", 0...3), (".degree4-10", 4...10), (".degree11-30", 11...30), (".degree31+", 31...Int.max),
    ]
    static let noReverse = ".noReverse"
    /// Test edges that leave, and that enter, a node that counts as new.
    static let newSource = ".newSource"
    static let newTarget = ".newTarget"

    /// The names of the groups of test edges that are ranked, in the order of reports.
    static let groups = ([noReverse] + bands.map(\.suffix) + [newSource, newTarget]).map { String($0.dropFirst()) }

    /// The metric and the group of test edges that a name says; the group is `all` where it says none.
    static func parts(_ name: String) -> (metric: String, group: String) {
        let parts = name.split(separator: ".", maxSplits: 1)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "all")
    }

    /// Whether a metric compares the scores of pairs, and ranks nothing.
    static func isOfPairs(_ name: String) -> Bool { name.hasPrefix("direction") || name.hasPrefix(existenceAUC) }

    /// Metrics of the ranks of test edges: `hitRate@k` (the share of edges ranked in the first k), `mrr@k` (the mean of
    /// 1/rank, 0 beyond k) and `mrr`. Nothing where there are no ranks.
    static func ranking(_ ranks: [Float], suffix: String = "") -> [String: Double] {
        guard !ranks.isEmpty else { return [:] }
        let count = Double(ranks.count)
        var metrics = ["mrr" + suffix: ranks.reduce(0) { $0 + 1 / Double($1) } / count]
        for cutoff in cutoffs {
            let hits = ranks.filter { $0 <= Float(cutoff) }
            metrics["hitRate@\(cutoff)" + suffix] = Double(hits.count) / count
            metrics["mrr@\(cutoff)" + suffix] = hits.reduce(0) { $0 + 1 / Double($1) } / count
        }
        return metrics
    }

    /// Direction metrics of the leads `f(u,v) - f(v,u)` of one-way edges. Nothing where there are none.
    static func direction(_ leads: [Float]) -> [String: Double] {
        guard !leads.isEmpty else { return [:] }
        let count = Double(leads.count)
        let right = leads.reduce(0.0) { $0 + ($1 > 0 ? 1 : $1 == 0 ? 0.5 : 0) }
        return [directionAccuracy: right / count, directionAUC: areaUnderROC(leads, above: leads.map { -$0 })]
    }

    /// How often one of `positives` is above one of `negatives`, over all pairs of the two; a tie counts half.
    static func areaUnderROC(_ positives: [Float], above negatives: [Float]) -> Double {
        let sorted = negatives.sorted()
        let wins = positives.reduce(0.0) { sum, score in
            let below = sorted.partitioningIndex { $0 >= score }
            let notAbove = sorted.partitioningIndex { $0 > score }
            return sum + Double(below + notAbove) / 2
        }
        return wins / (Double(positives.count) * Double(negatives.count))
    }

    /// All metrics of a method on held-out edges.
    static func all(_ scores: HeldOutScores, groups: EdgeGroups, absent: AbsentPairs? = nil) -> [String: Double] {
        var metrics = ranking(scores.ranks)
        for cutoff in curve {
            let hits = scores.ranks.reduce(0) { $0 + ($1 <= Float(cutoff) ? 1 : 0) }
            metrics["hitRate@\(cutoff)"] = Double(hits) / Double(scores.ranks.count)
        }
        for (kind, others) in zip(absent?.kinds ?? [], scores.others) where !others.isEmpty {
            metrics["\(existenceAUC).\(kind.name)"] = areaUnderROC(scores.forward, above: others)
        }
        for (suffix, edges) in groups.ranked {
            metrics.merge(ranking(edges.map { scores.ranks[$0] }, suffix: suffix)) { $1 }
        }
        metrics.merge(direction(groups.oneWay.map { scores.forward[$0] - scores.reverse[$0] })) { $1 }
        return metrics
    }
}

/// The groups of test edges that metrics are told for, each as numbers of held-out edges.
struct EdgeGroups {
    /// Groups to be ranked, with the suffix of their metrics.
    private(set) var ranked: [(suffix: String, edges: [Int])]
    /// Edges whose reverse is neither in the train graph nor held out.
    private(set) var oneWay: [Int] = []

    /// - Parameter isNew: by row, whether the node counts as new; empty where none does.
    init(_ heldOut: DirectedGraph, train: DirectedGraph, isNew: [Bool] = []) {
        var withoutReverse: [Int] = []
        var newSource: [Int] = []
        var newTarget: [Int] = []
        var banded = Metric.bands.map { (suffix: $0.suffix, edges: [Int]()) }
        for (number, edge) in heldOut.edges.enumerated() {
            let (u, v) = (Int(edge.source), Int(edge.target))
            if train.edge(from: v, to: u) == nil {
                withoutReverse.append(number)
                if heldOut.edge(from: v, to: u) == nil { oneWay.append(number) }
            }
            let band = Metric.bands.firstIndex { $0.degrees.contains(train.degree(u)) }!
            banded[band].edges.append(number)
            if !isNew.isEmpty {
                if isNew[u] { newSource.append(number) }
                if isNew[v] { newTarget.append(number) }
            }
        }
        ranked = [(Metric.noReverse, withoutReverse)] + banded
        if !isNew.isEmpty { ranked += [(Metric.newSource, newSource), (Metric.newTarget, newTarget)] }
    }
}

extension Array {
    /// The first index whose element fulfils a condition that, once fulfilled, holds for all elements after it.
    fileprivate func partitioningIndex(where isSecond: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isSecond(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
