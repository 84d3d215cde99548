internal import CKernels
internal import Glibc
internal import Tables

/// Inverted lists over 4-bit codes: a query looks through the rows whose list's centroid it scores highest.
///
/// A row is its centroid and a residual, of which every two coordinates are one of 16 centres (product quantisation:
/// Jégou, Douze, Schmid, TPAMI 2011). An inner product is the sum of both, so one set of tables serves all lists. The
/// best `depth` rows by these sums are scored by their 8-bit codes and, where these leave them in the running, exactly
/// (re-ranking: Guo et al., Accelerating Large-Scale Inference with Anisotropic Vector Quantization, ICML 2020).
///
/// All of it lives in coordinates in which the table's own source vectors are equally large on average, as the queries
/// are not distributed as the rows are: query coordinate j is multiplied by `coordinates[j]` and the rows divided by it.
///
/// In a table, beside a matrix of n rows, with L lists of B blocks of 32 rows, and g groups of four codes:
/// - `invertedLists.coordinates` F32 [d];
/// - `invertedLists.centroids` I8 [L, d] and `invertedLists.scales` F32 [L]: the centroids in 8-bit codes;
/// - `invertedLists.codebooks` F32 [4 g, 2, 16]: first and second coordinates of 16 centres;
/// - `invertedLists.offsets` U32 [L + 1]: where a list's blocks start;
/// - `invertedLists.rows` U32 [B, 32]: the rows, each once; ``RelatedTable/noRow`` fills the last block of a list;
/// - `invertedLists.codes` U8 [B, 64 g], laid out as `CKernels.h` says;
/// - `invertedLists.settings` U32 [any, 3]: the longest answer for which recall was measured, how many lists it takes
///   and how many rows are scored again, in ascending order.
struct InvertedLists {
    /// What it takes to meet the recall asked for with answers of up to `limit` rows.
    struct Setting: BitwiseCopyable, Equatable, Sendable {
        var limit: UInt32
        var probes: UInt32
        var depth: UInt32
    }

    /// The parts of lists, in memory that someone else owns.
    struct Parts {
        var coordinates: UnsafePointer<Float>
        var centroids: UnsafePointer<Int8>
        var scales: UnsafePointer<Float>
        var listCount: Int
        var codebooks: UnsafePointer<Float>
        var groups: Int
        var offsets: UnsafePointer<UInt32>
        var rows: UnsafePointer<UInt32>
        var codes: UnsafePointer<UInt8>
    }

    /// The tensor of the coordinates, which a table with lists has.
    static let marker = "invertedLists.coordinates"
    /// The matrix that lists are built for.
    static let matrix = "target"
    static let blockRows = Int(KERNELS_BLOCK_ROWS)
    static let groupCodes = Int(KERNELS_GROUP_CODES)
    static let groupBytes = Int(KERNELS_GROUP_BYTES)
    /// Coordinates of one code.
    static let codeDimension = 2
    /// Centres of one code.
    static let centres = 16
    /// The largest number in queries and centres, and times which coordinates are scaled at most: their products stay
    /// far within the range of `Float`. Longer queries are scanned for.
    static let largestNumber: Float = 1e12
    static let largestScale: Float = 1e4
    /// Rows scored again at most: beyond, an exact scan is as fast.
    static let largestDepth = 4096
    /// Candidates are thinned out when there are this many times as many as are scored again.
    private static let slack = 4

    private let parts: Parts
    private let rows: CodedRows
    private let exact: Scan
    /// For each code the largest norm of its centres.
    private let radii: [Float]
    private let settings: [Setting]
    private let kernels = kernels_best()

    init(_ parts: Parts, settings: [Setting], rows: CodedRows, exact: Scan) {
        self.parts = parts
        self.rows = rows
        self.exact = exact
        self.settings = settings
        radii = (0..<parts.groups * Self.groupCodes).map { code in
            let codebook = parts.codebooks + code * Self.centres * Self.codeDimension
            return (0..<Self.centres).reduce(0) { radius, centre in
                let (x, y) = (codebook[centre], codebook[Self.centres + centre])
                return max(radius, (x * x + y * y).squareRoot().nextUp)
            }
        }
    }

    private var dimension: Int { rows.dimension }
    /// The query's coordinates, filled up to whole groups.
    private var paddedDimension: Int { parts.groups * Self.groupCodes * Self.codeDimension }
}

// MARK: - Search

extension InvertedLists {
    /// What to use for an answer of `limit` rows; nil where recall was not measured for one as long.
    ///
    /// A filter that lets a share of the rows in makes an answer of k rows as deep as one of k / share without it.
    func setting(for limit: Int, _ filter: RowFilter) -> Setting? {
        let rows = Double(limit + filter.excluded.count) / filter.share
        return settings.first { Double($0.limit) >= rows }
    }

    /// How long a search takes, in coordinates that a plain scan reads meanwhile: centroids in 8 bits, rows of the lists
    /// in four bits for two coordinates, and twice each row that is scored again.
    func work(_ setting: Setting) -> Int {
        let listed = Int(setting.probes) * exact.count / parts.listCount
        return dimension * (parts.listCount / CodedRows.scanSpeed + listed / 16 + 2 * Int(setting.depth))
    }

    /// Whether a query's numbers are small enough.
    func take(_ query: UnsafePointer<Float>) -> Bool {
        (0..<dimension).allSatisfy { abs(query[$0]) <= Self.largestNumber }
    }

    /// Offers rows that are likely to be among the best for `query`, with their exact scores.
    func run(
        _ query: UnsafePointer<Float>, _ setting: Setting, into top: inout TopRows, filter: RowFilter,
        _ scratch: RelatedScratch
    ) {
        let own = scratch.search.floats(paddedDimension + parts.listCount + radii.count)
        for index in 0..<dimension { own[index] = query[index] * parts.coordinates[index] }
        for index in dimension..<paddedDimension { own[index] = 0 }
        let probes = probe(own, count: Int(setting.probes), own + paddedDimension, scratch)
        let tables = lookUpTables(own, own + paddedDimension + parts.listCount, scratch.search)
        var candidates = Candidates(
            scratch.search.keys(Self.slack * Int(setting.depth)), depth: Int(setting.depth), slack: Self.slack)
        for probe in UnsafeBufferPointer(rebasing: probes) {
            look(in: probe, tables, into: &candidates, filter: filter, scratch)
        }
        rank(candidates.finish(), for: query, into: &top, scratch)
    }

    /// The lists whose centroids score highest, best first.
    private func probe(
        _ query: UnsafePointer<Float>, count: Int, _ scores: UnsafeMutablePointer<Float>, _ scratch: RelatedScratch
    ) -> Slice<UnsafeBufferPointer<ScoredRow>> {
        var coded = Self.plainQuery(query, dimension: dimension, steps: scratch.search.steps(dimension))
        kernels.score_codes(
            &coded, parts.centroids, parts.scales, nil, parts.listCount, dimension, scores)
        let entries = scratch.search.probes(count)
        var top = TopRows(entries, limit: count)
        for start in stride(from: 0, to: parts.listCount, by: Scan.blockRows) {
            let block = min(Scan.blockRows, parts.listCount - start)
            let found = kernels.select(scores + start, block, top.threshold, scratch.hits)
            for hit in 0..<found {
                let list = start + Int(scratch.hits[hit])
                top.offer(ScoredRow(row: UInt32(list), score: scores[list]))
            }
        }
        top.sort()
        return UnsafeBufferPointer(start: UnsafePointer(entries), count: top.count)[...]
    }

    /// A query in 16-bit steps, for scores without a margin.
    static func plainQuery(
        _ query: UnsafePointer<Float>, dimension: Int, steps: UnsafeMutablePointer<Int16>
    ) -> kernels_code_query {
        var largest: Float = 0
        for index in 0..<dimension { largest = max(largest, abs(query[index])) }
        // Products of 127 and as many steps in each coordinate must fit 32 bits.
        let most = min(32_700, Float(0x1p31 - 1) / (127 * Float(dimension)) - 1)
        let step = max(largest / most, CodedRows.smallestScale)
        let reciprocal = 1 / step
        for index in 0..<dimension {
            steps[index] = Int16(max(-32_767, min(32_767, (query[index] * reciprocal).rounded(.toNearestOrEven))))
        }
        return kernels_code_query(steps: steps, step: step, margin: 0)
    }

    /// Tables in steps of one size, which a sum of 16 bits holds.
    private func lookUpTables(
        _ query: UnsafePointer<Float>, _ bounds: UnsafeMutablePointer<Float>, _ scratch: SearchScratch
    ) -> Tables {
        var (largest, sum): (Float, Float) = (0, 0)
        for code in radii.indices {
            let (x, y) = (query[2 * code], query[2 * code + 1])
            let bound = (x * x + y * y).squareRoot() * radii[code]
            bounds[code] = bound
            largest = max(largest, bound)
            sum += bound
        }
        // The last term for what each entry is rounded by.
        let most = Float(UInt16.max) - Float(radii.count)
        let step = max(max(2 * largest / 254, 2 * sum / most), CodedRows.smallestScale)
        let tables = scratch.tables(parts.groups * Self.groupBytes)
        kernels_fill_tables(query, parts.codebooks, bounds, radii.count, 1 / step, tables)
        return Tables(entries: tables, reciprocal: 1 / Double(step))
    }

    private struct Tables {
        var entries: UnsafePointer<UInt8>
        /// Steps of a score.
        var reciprocal: Double
    }

    /// Adds the rows of one list that may be among the best to `candidates`.
    private func look(
        in probe: ScoredRow, _ tables: Tables, into candidates: inout Candidates, filter: RowFilter,
        _ scratch: RelatedScratch
    ) {
        // Scores of all lists are far from the ends of this range, but for vectors that no table needs.
        let base = Int(max(-0x1p30, min(0x1p30, (Double(probe.score) * tables.reciprocal).rounded()))) + (1 << 31)
        var block = Int(parts.offsets[Int(probe.row)])
        let end = Int(parts.offsets[Int(probe.row) + 1])
        let most = Scan.blockRows / Self.blockRows
        while block < end {
            let count = min(most, end - block)
            let threshold = candidates.threshold - base
            guard threshold <= Int(UInt16.max) else { return }
            let found = kernels.look_up(
                tables.entries, parts.codes + block * parts.groups * Self.groupBytes, count, parts.groups,
                UInt16(max(0, threshold)), scratch.hits, scratch.search.sums)
            let rows = parts.rows + block * Self.blockRows
            for hit in 0..<found {
                let row = rows[Int(scratch.hits[hit])]
                guard row != RelatedTable.noRow, filter.admits(row) else { continue }
                candidates.add(row, score: base + Int(scratch.search.sums[hit]))
            }
            block += count
        }
    }

    /// Scores candidates by their 8-bit codes and exactly where these leave them in the running.
    private func rank(
        _ keys: UnsafeBufferPointer<UInt64>, for query: UnsafePointer<Float>, into top: inout TopRows,
        _ scratch: RelatedScratch
    ) {
        let numbers = scratch.search.rows(keys.count)
        for index in 0..<keys.count {
            numbers[index] = Candidates.row(keys[index])
            kernels_prefetch(rows.codes + Int(numbers[index]) * dimension, dimension)
        }
        var coded = rows.query(query, steps: scratch.search.steps(dimension))
        var start = 0
        while start < keys.count {
            // Few at first: their scores keep most of the others from being scored exactly.
            let block = min(start == 0 ? 2 * top.limit : Scan.blockRows, keys.count - start, Scan.blockRows)
            kernels.score_codes(&coded, rows.codes, rows.scales, numbers + start, block, dimension, scratch.scores)
            let found = kernels.select(scratch.scores, block, CodedRows.lowest(top.threshold), scratch.hits)
            for hit in 0..<found {
                let row = numbers[start + Int(scratch.hits[hit])]
                guard scratch.scores[Int(scratch.hits[hit])] >= CodedRows.lowest(top.threshold) else { continue }
                top.offer(ScoredRow(row: row, score: exact.score(query, row)))
            }
            start += block
        }
    }
}

/// The best candidates of many, by whole-number scores: kept in a buffer of a few times as many, which is thinned out
/// when it is full.
struct Candidates {
    private let keys: UnsafeMutablePointer<UInt64>
    private let depth: Int
    private let capacity: Int
    private var count = 0
    /// A candidate must score at least this.
    private(set) var threshold = 0

    /// `keys` has room for `slack * depth`, at least 2 `depth`.
    init(_ keys: UnsafeMutablePointer<UInt64>, depth: Int, slack: Int) {
        self.keys = keys
        self.depth = depth
        capacity = slack * depth
    }

    /// The row of a key.
    static func row(_ key: UInt64) -> UInt32 { ~UInt32(truncatingIfNeeded: key) }

    /// Adds a candidate whose score is from 0 to 2^32 - 1.
    @inline(__always)
    mutating func add(_ row: UInt32, score: Int) {
        guard score >= threshold else { return }
        if count == capacity { thinOut() }
        keys[count] = UInt64(UInt32(truncatingIfNeeded: score)) << 32 | UInt64(~row)
        count += 1
    }

    /// The best `depth`, in no order.
    mutating func finish() -> UnsafeBufferPointer<UInt64> {
        if count > depth { thinOut() }
        return UnsafeBufferPointer(start: keys, count: count)
    }

    private mutating func thinOut() {
        select()
        count = depth
        var least = keys[0]
        for index in 1..<depth { least = min(least, keys[index]) }
        threshold = Int(least >> 32)
    }

    /// Moves the best `depth` keys to the front (Hoare's selection).
    private func select() {
        var (low, high) = (0, count - 1)
        while low < high {
            let (a, b, c) = (keys[low], keys[(low + high) / 2], keys[high])
            let pivot = max(min(a, b), min(max(a, b), c))
            var (left, right) = (low, high)
            while left <= right {
                while keys[left] > pivot { left += 1 }
                while keys[right] < pivot { right -= 1 }
                guard left <= right else { break }
                (keys[left], keys[right]) = (keys[right], keys[left])
                left += 1
                right -= 1
            }
            if depth <= right + 1 {
                high = right
            } else if depth >= left + 1 {
                low = left
            } else {
                return
            }
        }
    }
}

// MARK: - In a table

extension InvertedLists {
    /// The lists of a table's matrix; nil where it has none.
    init?(_ table: Table, matrix: String, rows: CodedRows, exact: Scan) throws(TableError) {
        guard matrix == Self.matrix, table.tensorIfPresent(named: Self.marker) != nil else { return nil }
        let dimension = rows.dimension
        let groups = Self.groups(dimension)
        let coordinates = try table.finite(Self.marker, shape: [dimension])
        guard coordinates.allSatisfy({ abs($0) <= Self.largestScale }) else {
            throw try table.tensor(named: Self.marker).error("holds a scale above \(Self.largestScale)")
        }
        let centroids = try table.tensor(named: "invertedLists.centroids")
        let centroidCodes = try centroids.elements(as: Int8.self, shape: [nil, dimension])
        let listCount = centroids.shape[0]
        let scales = try table.finite("invertedLists.scales", shape: [listCount])
        let codebooks = try table.finite(
            "invertedLists.codebooks", shape: [groups * Self.groupCodes, Self.codeDimension, Self.centres])
        guard codebooks.allSatisfy({ abs($0) <= Self.largestNumber }) else {
            throw try table.tensor(named: "invertedLists.codebooks").error("holds a number above \(Self.largestNumber)")
        }
        let offsets = try table.tensor(named: "invertedLists.offsets")
        let starts = try offsets.elements(as: UInt32.self, shape: [listCount + 1])
        let rowsTensor = try table.tensor(named: "invertedLists.rows")
        let numbers = try rowsTensor.elements(as: UInt32.self, shape: [nil, Self.blockRows])
        let blocks = rowsTensor.shape[0]
        guard listCount > 0, starts[0] == 0, starts[listCount] == blocks,
            (0..<listCount).allSatisfy({ starts[$0] <= starts[$0 + 1] })
        else { throw offsets.error("does not cut the \(blocks) blocks into lists") }
        if table.remembered(RelatedTable.checks) == nil {
            try Self.checkRows(rowsTensor, numbers, count: rows.count)
        }
        let codes = try table.tensor(named: "invertedLists.codes")
            .elements(as: UInt8.self, shape: [blocks, groups * Self.groupBytes])
        let settings = try Self.settings(table.tensor(named: "invertedLists.settings"), lists: listCount)
        self.init(
            Parts(
                coordinates: coordinates.baseAddress!, centroids: centroidCodes.baseAddress!,
                scales: scales.baseAddress!, listCount: listCount, codebooks: codebooks.baseAddress!, groups: groups,
                offsets: starts.baseAddress!, rows: numbers.baseAddress!, codes: codes.baseAddress!),
            settings: settings, rows: rows, exact: exact)
    }

    /// Groups of codes that vectors of a dimension take.
    static func groups(_ dimension: Int) -> Int {
        (dimension + groupCodes * codeDimension - 1) / (groupCodes * codeDimension)
    }

    private static func checkRows(
        _ tensor: TensorView, _ rows: UnsafeBufferPointer<UInt32>, count: Int
    ) throws(TableError) {
        var seen = [Bool](repeating: false, count: count)
        var found = 0
        for row in rows where row != RelatedTable.noRow {
            guard row < count, !seen[Int(row)] else {
                throw tensor.error("holds row \(row) of \(count) twice or beyond the last")
            }
            seen[Int(row)] = true
            found += 1
        }
        guard found == count else { throw tensor.error("holds \(found) of \(count) rows") }
    }

    private static func settings(_ tensor: TensorView, lists: Int) throws(TableError) -> [Setting] {
        let numbers = try tensor.elements(as: UInt32.self, shape: [nil, 3])
        var settings: [Setting] = []
        for index in 0..<tensor.shape[0] {
            let setting = Setting(
                limit: numbers[3 * index], probes: numbers[3 * index + 1], depth: numbers[3 * index + 2])
            guard setting.limit > settings.last?.limit ?? 0, setting.depth >= setting.limit,
                setting.depth <= largestDepth, setting.probes >= 1, setting.probes <= lists
            else { throw tensor.error("holds an impossible setting in row \(index)") }
            settings.append(setting)
        }
        return settings
    }
}
