/// Ranks the lists of known products by more than the inner product: by boosts of the rows that it knows more about.
///
/// The score in a list is `source[u] . target[v] + boost(u, v)`. A boost is finite and never negative, and 0 for all but a
/// few rows, so that a list is exact and can be continued by inner products: whatever it leaves out scores no higher.
public protocol NeighbourRanker: Sendable {
    /// The boosts of one row at a time.
    associatedtype Boosts: RowBoosts

    /// The name of the ranker, for the manifest of a table.
    var name: String { get }
    /// What it ranks by, for the manifest of a table; by name.
    var parameters: [String: String] { get }

    /// Memory for the boosts of one row after another; each thread has its own.
    func makeBoosts() -> Boosts
}

/// The boosts of one row at a time, by one thread.
public protocol RowBoosts {
    /// The rows that may have a boost, each once; those that it was computed for last. The row itself may be among them.
    var rows: UnsafeBufferPointer<UInt32> { get }
    /// The boosts of ``rows``.
    var boosts: UnsafeBufferPointer<Float> { get }

    /// Computes the boosts of a row and forgets those of the one before.
    func compute(for row: Int)
    /// The boost of any row.
    func boost(of row: UInt32) -> Float
}

/// Turns the best rows by inner product into the best rows by a ranker, exactly.
///
/// A row that is not among the best k by inner product scores no higher than the last of them, so it must make up for the
/// difference by its boost: only the k rows themselves and those with a boost above the difference can be in the list.
struct Reranking<Boosts: RowBoosts> {
    private let boosts: Boosts
    private let targets: Scan
    private let limit: Int
    /// Rows that were looked at.
    private var seen = RowSet()
    private let strongest: UnsafeMutablePointer<ScoredRow>
    private let best: UnsafeMutablePointer<ScoredRow>

    init(_ boosts: Boosts, targets: Scan, limit: Int) {
        self.boosts = boosts
        self.targets = targets
        self.limit = limit
        strongest = .allocate(capacity: limit)
        best = .allocate(capacity: limit)
    }

    func destroy() {
        seen.destroy()
        strongest.deallocate()
        best.deallocate()
    }

    /// Replaces `list`, the best `limit` rows by inner product with `query` but `row` itself, best first.
    mutating func rerank(_ list: UnsafeMutablePointer<ScoredRow>, of row: UInt32, query: UnsafePointer<Float>) {
        boosts.compute(for: Int(row))
        // An unlisted row's inner product is rounded to no more than the last one's.
        let bound = Double(list[limit - 1].score.nextUp)
        var top = TopRows(best, limit: limit)
        func offer(_ other: UInt32, _ boost: Float) {
            let score = Float(targets.exactScore(query, other) + Double(boost))
            top.offer(ScoredRow(row: other, score: score))
        }
        seen.removeAll()
        seen.insert(row)
        for index in 0..<limit {
            seen.insert(list[index].row)
            offer(list[index].row, boosts.boost(of: list[index].row))
        }
        // The strongest boosts first, so that few of the others can still pass.
        for index in 0..<takeStrongest() { offer(strongest[index].row, strongest[index].score) }
        for (other, boost) in zip(boosts.rows, boosts.boosts)
        where Float(bound + Double(boost)) >= top.threshold && !seen.contains(other) { offer(other, boost) }
        top.sort()
        list.update(from: best, count: limit)
    }

    /// Moves the rows with the largest boosts among those not seen to ``strongest`` and returns how many they are.
    private mutating func takeStrongest() -> Int {
        var top = TopRows(strongest, limit: limit)
        for (other, boost) in zip(boosts.rows, boosts.boosts)
        where boost >= top.threshold && !seen.contains(other) { top.offer(ScoredRow(row: other, score: boost)) }
        for index in 0..<top.count { seen.insert(strongest[index].row) }
        return top.count
    }
}
