/// A row of a table and its score.
public struct ScoredRow: BitwiseCopyable, Sendable, Equatable {
    /// The row.
    public var row: UInt32
    /// The inner product of the vector asked with and the row's target vector.
    public var score: Float

    /// Pairs a row with its score.
    @inlinable public init(row: UInt32, score: Float) {
        self.row = row
        self.score = score
    }

    /// Whether this row ranks before another: higher scores first, equal ones in the order of the table.
    @inlinable func precedes(_ other: ScoredRow) -> Bool {
        score > other.score || (score == other.score && row < other.row)
    }
}

/// The best rows of many, in memory that someone else owns: a heap whose first entry is the worst kept.
///
/// What is kept does not depend on the order in which rows are offered.
struct TopRows {
    private let entries: UnsafeMutablePointer<ScoredRow>
    let limit: Int
    private(set) var count = 0

    /// Keeps the best `limit` rows, at least one, in `entries`, which has room for them.
    init(_ entries: UnsafeMutablePointer<ScoredRow>, limit: Int) {
        self.entries = entries
        self.limit = limit
    }

    /// A row must score at least this to be kept.
    var threshold: Float { count < limit ? -.infinity : entries[0].score }

    /// One of the rows kept.
    subscript(index: Int) -> ScoredRow { entries[index] }

    /// Forgets all rows.
    mutating func removeAll() { count = 0 }

    /// Keeps a row if it is among the best so far.
    mutating func offer(_ row: ScoredRow) {
        if count < limit {
            entries[count] = row
            siftUp(count)
            count += 1
        } else if row.precedes(entries[0]) {
            entries[0] = row
            siftDown(0, count: count)
        }
    }

    /// Puts the rows in order, best first; ends the use as a heap.
    mutating func sort() {
        for last in stride(from: count - 1, to: 0, by: -1) {
            (entries[0], entries[last]) = (entries[last], entries[0])
            siftDown(0, count: last)
        }
    }

    private func siftUp(_ start: Int) {
        var child = start
        let moving = entries[child]
        while child > 0, case let parent = (child - 1) / 2, entries[parent].precedes(moving) {
            entries[child] = entries[parent]
            child = parent
        }
        entries[child] = moving
    }

    private func siftDown(_ start: Int, count: Int) {
        var parent = start
        let moving = entries[parent]
        while true {
            var child = 2 * parent + 1
            guard child < count else { break }
            if child + 1 < count, entries[child].precedes(entries[child + 1]) { child += 1 }
            guard moving.precedes(entries[child]) else { break }
            entries[parent] = entries[child]
            parent = child
        }
        entries[parent] = moving
    }
}
