internal import CKernels
internal import LinearAlgebra
internal import Tables

/// The index of one matrix, built as ``RelatedTableBuilder`` does it and searched way by way: what
/// `Benchmarks/retrieval` measures.
package final class MeasuredIndex {
    private let rows: UnsafeBufferPointer<Float>
    private let dimension: Int
    private let scan: Scan
    private let codes: CodedRowsBuilder
    private var lists: InvertedListsBuilder?

    /// A way to search, and what it needs to know.
    package enum Way: Sendable {
        /// The exact scan in floats.
        case scan
        /// The exact scan over 8-bit codes.
        case quantizedScan
        /// Inverted lists with so many probes and rows scored again.
        case invertedLists(probes: Int, depth: Int)
    }

    /// Codes `rows`, which must outlive the index; nil where a vector is too long.
    package init?(_ rows: UnsafeBufferPointer<Float>, dimension: Int) {
        let count = rows.count / dimension
        guard let norm = VectorLimit.largestNorm(rows.baseAddress!, count: count, dimension: dimension) else {
            return nil
        }
        self.rows = rows
        self.dimension = dimension
        scan = Scan(rows: rows.baseAddress!, count: count, dimension: dimension, largestNorm: norm)
        codes = CodedRowsBuilder(rows.baseAddress!, count: count, dimension: dimension)
    }

    /// Builds the inverted lists for queries like these, as many as `listCount` says or as publishing makes.
    package func buildLists(
        for queries: UnsafeBufferPointer<Float>, listCount: Int? = nil, parallelWeight: Float? = nil
    ) {
        lists = InvertedListsBuilder(
            scan, queries: queries.baseAddress!, queryCount: queries.count / dimension,
            .init(listCount: listCount, parallelWeight: parallelWeight))
    }

    /// The probes and the depth that publishing chooses for answers of ten rows, and the recall it measures; nil where
    /// it would build no lists.
    package func chosen(
        for queries: UnsafeBufferPointer<Float>, recall: Double
    ) -> (probes: Int, depth: Int, recall: Double)? {
        guard let lists else { return nil }
        return codes.withRows { coded in
            lists.withLists(coded, scan) { search in
                RecallMeasurement(
                    scan: scan, coded: coded, lists: search, listCount: lists.centroids.count, queries: queries, seed: 1
                ).settings(recall: recall).map {
                    (Int($0.settings[0].probes), Int($0.settings[0].depth), $0.recall)
                }
            }
        }
    }

    /// The bytes of the codes and of the lists.
    package var bytes: (codes: Int, lists: Int) {
        (
            codes.specs("target").reduce(0) { $0 + $1.byteCount },
            lists?.specs.reduce(0) { $0 + $1.byteCount } ?? 0
        )
    }

    /// The number of lists.
    package var listCount: Int { lists?.centroids.count ?? 0 }

    /// Searches for one query after another and hands out the `limit` best rows of each, best first.
    package func search(
        _ way: Way, for queries: UnsafeBufferPointer<Float>, limit: Int,
        _ answer: (_ query: Int, UnsafeBufferPointer<ScoredRow>) -> Void
    ) {
        let scratch = RelatedScratch()
        codes.withRows { coded in
            switch way {
            case .scan:
                search(queries, limit, scratch, answer) {
                    scan.run($0, into: &$1, filter: RowFilter(excluded: scratch.excluded), scratch)
                }
            case .quantizedScan:
                search(queries, limit, scratch, answer) {
                    coded.run($0, into: &$1, filter: RowFilter(excluded: scratch.excluded), exact: scan, scratch)
                }
            case .invertedLists(let probes, let depth):
                let setting = InvertedLists.Setting(
                    limit: UInt32(limit), probes: UInt32(probes), depth: UInt32(depth))
                lists?.withLists(coded, scan) { lists in
                    search(queries, limit, scratch, answer) {
                        lists.run($0, setting, into: &$1, filter: RowFilter(excluded: scratch.excluded), scratch)
                    }
                }
            }
        }
    }

    private func search(
        _ queries: UnsafeBufferPointer<Float>, _ limit: Int, _ scratch: RelatedScratch,
        _ answer: (Int, UnsafeBufferPointer<ScoredRow>) -> Void,
        with find: (UnsafePointer<Float>, inout TopRows) -> Void
    ) {
        for query in 0..<queries.count / dimension {
            var top = TopRows(scratch.room(for: limit), limit: limit)
            find(queries.baseAddress! + query * dimension, &top)
            top.sort()
            scratch.finish(count: top.count)
            answer(query, scratch.results)
        }
    }
}
