internal import LinearAlgebra

extension InvertedListsBuilder {
    /// What came of building lists.
    enum Outcome: Sendable {
        case lists(InvertedListsBuilder)
        /// There are none, for this reason.
        case none(String)

        var built: InvertedListsBuilder? {
            if case .lists(let lists) = self { lists } else { nil }
        }
    }

    /// Lists of the rows of `scan` that reach `recall` with queries drawn from `queries` in less time than an exact
    /// scan takes, or why there are none.
    static func build(
        _ scan: Scan, codes: CodedRowsBuilder, queries: UnsafeBufferPointer<Float>, recall: Double,
        least: Int = VectorIndexBuilder.smallestCount, _ options: Options = Options()
    ) -> Outcome {
        guard scan.count >= least else { return .none("\(scan.count) products, \(least) are worth them") }
        // Rows are scaled up by at most as much as queries, and residuals are at most twice as long.
        guard scan.largestNorm * Double(InvertedLists.largestScale) * 2 < Double(InvertedLists.largestNumber) else {
            return .none("a vector is longer than they are made for")
        }
        let queryCount = queries.count / scan.dimension
        var lists = InvertedListsBuilder(scan, queries: queries.baseAddress!, queryCount: queryCount, options)
        let result = codes.withRows { coded in
            lists.withLists(coded, scan) { search in
                RecallMeasurement(
                    scan: scan, coded: coded, lists: search, listCount: lists.centroids.count, queries: queries,
                    seed: options.seed
                ).settings(recall: recall)
            }
        }
        guard let result else {
            return .none("they do not reach a recall of \(recall) in less time")
        }
        lists.settings = result.settings
        lists.recall = result.recall
        return .lists(lists)
    }
}

/// Chooses how many lists are probed and how many rows scored again, by the recall that samples of queries see.
struct RecallMeasurement {
    /// The longest answers for which settings are chosen: a page of a shop, and what filters leave a page of.
    private static let limits = [10, 100]
    /// Queries of each of two samples: the first chooses, the second tells. One missing row of 10,000 is 0.01 %.
    fileprivate static let sampleSize = 1000
    /// Each step of the search has so many more probes.
    private static let growth = 1.25
    /// Rows scored again, in multiples of the answer's length.
    private static let depths = [2, 4, 8, 16, 32]

    let scan: Scan
    let coded: CodedRows
    let lists: InvertedLists
    let listCount: Int
    let queries: UnsafeBufferPointer<Float>
    let seed: UInt64

    /// The cheapest settings that reach `recall`, and the recall@10 of the first; nil where an exact scan is cheaper.
    func settings(recall: Double) -> (settings: [InvertedLists.Setting], recall: Double)? {
        var settings: [InvertedLists.Setting] = []
        var first = 0.0
        for limit in Self.limits {
            let choosing = Sample(self, limit: limit, stream: 1)
            let telling = Sample(self, limit: limit, stream: 2)
            guard var setting = cheapest(limit, choosing, recall) else { break }
            var reached = telling.recall(setting)
            while reached < recall {
                guard let next = next(setting.probes) else { break }
                setting.probes = next
                reached = telling.recall(setting)
            }
            guard reached >= recall, cost(setting) < exactCost else { break }
            if settings.isEmpty { first = reached }
            settings.append(setting)
        }
        return settings.isEmpty ? nil : (settings, first)
    }

    /// The setting of the least cost whose recall is high enough.
    private func cheapest(_ limit: Int, _ sample: Sample, _ recall: Double) -> InvertedLists.Setting? {
        var best: InvertedLists.Setting?
        for factor in Self.depths {
            var setting = InvertedLists.Setting(limit: UInt32(limit), probes: 1, depth: UInt32(factor * limit))
            while cost(setting) < (best.map(cost) ?? exactCost) {
                if sample.recall(setting) >= recall {
                    best = setting
                    break
                }
                guard let next = next(setting.probes) else { break }
                setting.probes = next
            }
        }
        return best
    }

    /// The next number of probes to try; nil after all lists.
    private func next(_ probes: UInt32) -> UInt32? {
        guard probes < listCount else { return nil }
        return min(UInt32(listCount), max(probes + 1, UInt32(Double(probes) * Self.growth)))
    }

    // What a query costs, in nanoseconds of one processor that was measured (AVX-512, 2.6 GHz): only the ratios matter,
    // and no clock is asked, so that the same vectors give the same table.

    private var exactCost: Double { Double(scan.count * scan.dimension) * 0.033 }

    private func cost(_ setting: InvertedLists.Setting) -> Double {
        let centroids = Double(listCount * scan.dimension) * 0.03 + Double(setting.probes) * 50
        let rows = Double(setting.probes) * (Double(scan.count) / Double(listCount) + 16)
        return centroids + rows * Double(scan.dimension) * 0.006
            + Double(setting.depth) * (30 + Double(scan.dimension) * 0.1)
    }
}

/// Queries and the rows that answer them.
private struct Sample {
    private let measurement: RecallMeasurement
    private let limit: Int
    private let rows: [Int]
    private let truth: [UInt32]
    private static let grain = 16

    init(_ measurement: RecallMeasurement, limit: Int, stream: UInt64) {
        self.measurement = measurement
        self.limit = limit
        let dimension = measurement.scan.dimension
        var generator = SeededGenerator(seed: measurement.seed, stream: stream)
        let rows = sampledRows(
            RecallMeasurement.sampleSize, of: measurement.queries.count / dimension, using: &generator)
        self.rows = rows
        var truth = [UInt32](repeating: RelatedTable.noRow, count: rows.count * limit)
        truth.withUnsafeMutableBufferPointer { truth in
            nonisolated(unsafe) let truth = truth.baseAddress!
            Self.forEach(rows, limit: limit) { index, top, scratch in
                measurement.coded.run(
                    measurement.queries.baseAddress! + rows[index] * dimension, into: &top,
                    filter: RowFilter(excluded: scratch.excluded), exact: measurement.scan, scratch)
                for place in 0..<top.count { truth[index * limit + place] = top[place].row }
            }
        }
        self.truth = truth
    }

    /// The part of the best rows that a setting finds.
    func recall(_ setting: InvertedLists.Setting) -> Double {
        var found = [Int](repeating: 0, count: rows.count)
        let dimension = measurement.scan.dimension
        found.withUnsafeMutableBufferPointer { found in
            nonisolated(unsafe) let found = found.baseAddress!
            Self.forEach(rows, limit: limit) { index, top, scratch in
                measurement.lists.run(
                    measurement.queries.baseAddress! + rows[index] * dimension, setting, into: &top,
                    filter: RowFilter(excluded: scratch.excluded), scratch)
                let wanted = truth[index * limit..<(index + 1) * limit]
                found[index] = (0..<top.count).count { wanted.contains(top[$0].row) }
            }
        }
        return Double(found.reduce(0, +)) / Double(rows.count * limit)
    }

    private static func forEach(
        _ rows: [Int], limit: Int, _ body: (Int, inout TopRows, RelatedScratch) -> Void
    ) {
        parallelFor(count: rows.count, grain: grain) { range in
            let scratch = RelatedScratch()
            for index in range {
                var top = TopRows(scratch.room(for: limit), limit: limit)
                body(index, &top, scratch)
            }
        }
    }
}
