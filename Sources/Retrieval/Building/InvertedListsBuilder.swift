internal import CKernels
internal import Glibc
internal import LinearAlgebra
internal import Tables

/// Builds ``InvertedLists`` of a matrix, for queries such as those given, and measures the recall that they reach.
struct InvertedListsBuilder: Sendable {
    /// How lists are made; what is not said comes from the number of rows.
    struct Options: Sendable {
        var listCount: Int?
        var seed: UInt64 = 1
        /// How much more errors along a row weigh than others: 1 for not at all.
        var parallelWeight: Float?
    }

    private enum Size {
        /// Rows for each list in the sample that centroids are learnt from.
        static let sampleOfList = 64
        /// Rounds of k-means over it: the last of more change next to nothing.
        static let iterations = 8
        /// Rows whose residuals the codes' centres are learnt from.
        static let residuals = 20_000
        /// Rows that are transformed at once.
        static let chunk = 32_768
        /// Rows of a list on average: their look-up takes about as long as the score of their centroid and its place
        /// in the order.
        static let rowsOfList = 200
        /// Lists at most: a query scores all their centroids.
        static let lists = 4096
        /// The threshold of the anisotropic loss, as a part of a row's norm (Guo et al. 2020, section 4).
        static let threshold: Float = 0.2
        /// A query coordinate counts as no smaller than this part of the largest.
        static let coordinate = 1e-3
    }

    let dimension: Int
    private(set) var coordinates: [Float]
    private(set) var centroids: CodedRowsBuilder
    private(set) var quantizer: ProductQuantizer
    private(set) var offsets: [UInt32] = []
    private(set) var rows: [UInt32] = []
    private(set) var codes: [UInt8] = []
    var settings: [InvertedLists.Setting] = []
    /// The recall of answers of 10 rows that was measured with queries that settings were not chosen by.
    var recall = 0.0

    private var listCount: Int { centroids.count }
    private var groups: Int { InvertedLists.groups(dimension) }

    /// Builds lists of the rows of `scan`.
    init(_ scan: Scan, queries: UnsafePointer<Float>, queryCount: Int, _ options: Options = Options()) {
        dimension = scan.dimension
        let lists = options.listCount ?? max(1, min(Size.lists, scan.count / Size.rowsOfList))
        let scale = rootMeanSquares(queries, count: queryCount, dimension: dimension, least: Size.coordinate)
        coordinates = scale.map { 1 / $0 }
        var generator = SeededGenerator(seed: options.seed)
        let sample = sampledRows(lists * Size.sampleOfList, of: scan.count, using: &generator)
        let means = KMeans(
            Self.transformed(sample, of: scan, scale), count: lists, iterations: Size.iterations, seed: options.seed)
        centroids = CodedRowsBuilder(
            means.centroids.elements, count: lists, dimension: dimension, scalesCoordinates: false)
        withExtendedLifetime(means) {}
        let listOfRow = Self.lists(of: scan, scale, means)
        let decoded = Self.decoded(centroids)
        let few = sampledRows(Size.residuals, of: scan.count, using: &generator)
        let residuals = Self.transformed(few, of: scan, scale)
        for (index, row) in few.enumerated() {
            let centroid = decoded[row: Int(listOfRow[row])]
            for column in 0..<dimension { residuals[index, column] -= centroid[column] }
        }
        quantizer = ProductQuantizer(residuals, seed: options.seed)
        let square = Size.threshold * Size.threshold
        let weight = options.parallelWeight ?? max(1, Float(dimension - 1) * square / (1 - square))
        lay(Members(listOfRow, lists: lists))
        encode(scan, scale, decoded, listOfRow, weight)
    }

    /// Rows in the coordinates of the lists.
    private static func transformed(_ rows: [Int], of scan: Scan, _ scale: [Float]) -> Matrix {
        let result = Matrix(rows: rows.count, columns: scan.dimension)
        parallelFor(count: rows.count, grain: 1024) { range in
            for index in range {
                let (from, to) = (scan.rows + rows[index] * scan.dimension, result[row: index])
                for column in 0..<scan.dimension { to[column] = from[column] * scale[column] }
            }
        }
        return result
    }

    private static func lists(of scan: Scan, _ scale: [Float], _ means: KMeans) -> [UInt32] {
        var lists: [UInt32] = []
        lists.reserveCapacity(scan.count)
        for start in stride(from: 0, to: scan.count, by: Size.chunk) {
            let rows = Array(start..<min(scan.count, start + Size.chunk))
            let points = transformed(rows, of: scan, scale)
            lists += means.nearest(to: points.elements, count: rows.count)
            withExtendedLifetime(points) {}
        }
        return lists
    }

    private static func decoded(_ centroids: CodedRowsBuilder) -> Matrix {
        let result = Matrix(rows: centroids.count, columns: centroids.dimension)
        for index in 0..<result.count {
            result.elements[index] = Float(centroids.codes[index]) * centroids.scales[index / result.columns]
        }
        return result
    }

    /// Gives every list whole blocks.
    private mutating func lay(_ members: Members) {
        let size = InvertedLists.blockRows
        offsets = [0]
        for list in 0..<listCount {
            let own = members[list]
            let blocks = (own.count + size - 1) / size
            rows += own
            rows += [UInt32](repeating: RelatedTable.noRow, count: blocks * size - own.count)
            offsets.append(offsets[list] + UInt32(blocks))
        }
    }

    private mutating func encode(
        _ scan: Scan, _ scale: [Float], _ centroids: Matrix, _ listOfRow: [UInt32], _ parallelWeight: Float
    ) {
        let (groups, dimension, quantizer, rows) = (groups, dimension, quantizer, rows)
        let blockBytes = groups * InvertedLists.groupBytes
        codes = [UInt8](repeating: 0, count: rows.count / InvertedLists.blockRows * blockBytes)
        codes.withUnsafeMutableBufferPointer { codes in
            nonisolated(unsafe) let codes = codes.baseAddress!
            parallelFor(count: rows.count / InvertedLists.blockRows, grain: 64) { range in
                let (residual, direction) = (Matrix(rows: 1, columns: dimension), Matrix(rows: 1, columns: dimension))
                defer { withExtendedLifetime((residual, direction)) {} }
                var row = [UInt8](repeating: 0, count: quantizer.codes)
                quantizer.codebooks.withUnsafeBufferPointer { centres in
                    for place in range.lowerBound * InvertedLists.blockRows..<range.upperBound * InvertedLists.blockRows
                    where rows[place] != RelatedTable.noRow {
                        let number = Int(rows[place])
                        let vector = scan.rows + number * dimension
                        let centroid = centroids[row: Int(listOfRow[number])]
                        var square: Float = 0
                        for index in 0..<dimension {
                            let value = vector[index] * scale[index]
                            direction.elements[index] = value
                            residual.elements[index] = value - centroid[index]
                            square += value * value
                        }
                        let norm = max(square.squareRoot(), .leastNormalMagnitude)
                        for index in 0..<dimension { direction.elements[index] /= norm }
                        quantizer.encode(
                            residual.elements, direction: direction.elements, parallelWeight: parallelWeight,
                            centres.baseAddress!, into: &row)
                        let block = codes + place / InvertedLists.blockRows * blockBytes
                        Self.put(row, at: place % InvertedLists.blockRows, in: block)
                    }
                }
            }
        }
    }

    /// Puts the codes of a block's row where the kernels look for them.
    private static func put(_ codes: [UInt8], at row: Int, in block: UnsafeMutablePointer<UInt8>) {
        for code in codes.indices { block[16 * code + row % 16] |= row < 16 ? codes[code] : codes[code] << 4 }
    }
}

// MARK: - In a table

extension InvertedListsBuilder {
    var specs: [TensorSpec] {
        let blocks = rows.count / InvertedLists.blockRows
        return [
            TensorSpec(InvertedLists.marker, .float32, shape: [dimension]),
            TensorSpec("invertedLists.centroids", .int8, shape: [listCount, dimension]),
            TensorSpec("invertedLists.scales", .float32, shape: [listCount]),
            TensorSpec(
                "invertedLists.codebooks", .float32,
                shape: [quantizer.codes, InvertedLists.codeDimension, InvertedLists.centres]),
            TensorSpec("invertedLists.offsets", .uint32, shape: [listCount + 1]),
            TensorSpec("invertedLists.rows", .uint32, shape: [blocks, InvertedLists.blockRows]),
            TensorSpec("invertedLists.codes", .uint8, shape: [blocks, groups * InvertedLists.groupBytes]),
            TensorSpec("invertedLists.settings", .uint32, shape: [settings.count, 3]),
        ]
    }

    func write(to writer: SafetensorsWriter) throws(TableError) {
        try writer.write(coordinates, to: InvertedLists.marker)
        try writer.write(centroids.codes, to: "invertedLists.centroids")
        try writer.write(centroids.scales, to: "invertedLists.scales")
        try writer.write(quantizer.codebooks, to: "invertedLists.codebooks")
        try writer.write(offsets, to: "invertedLists.offsets")
        try writer.write(rows, to: "invertedLists.rows")
        try writer.write(codes, to: "invertedLists.codes")
        try writer.write(settings.flatMap { [$0.limit, $0.probes, $0.depth] }, to: "invertedLists.settings")
    }

    var summary: String {
        let percent = (recall * 1000).rounded(.down) / 10
        return "\(listCount) inverted lists, \(settings[0].probes) probed: recall@10 \(percent) %"
    }

    var metrics: [String: Double] { ["invertedLists.recall@10": recall] }

    var attributes: [String: String] {
        [
            "invertedLists.lists": String(listCount), "invertedLists.probes": String(settings[0].probes),
            "invertedLists.depth": String(settings[0].depth),
        ]
    }

    /// Lends the lists to a search.
    func withLists<Value>(_ coded: CodedRows, _ exact: Scan, _ body: (InvertedLists) -> Value) -> Value {
        // The arrays are not changed while they are lent.
        coordinates.withUnsafeBufferPointer { coordinates in
            centroids.codes.withUnsafeBufferPointer { centroidCodes in
                centroids.scales.withUnsafeBufferPointer { scales in
                    quantizer.codebooks.withUnsafeBufferPointer { codebooks in
                        offsets.withUnsafeBufferPointer { offsets in
                            rows.withUnsafeBufferPointer { rows in
                                codes.withUnsafeBufferPointer { codes in
                                    let parts = InvertedLists.Parts(
                                        coordinates: coordinates.baseAddress!, centroids: centroidCodes.baseAddress!,
                                        scales: scales.baseAddress!, listCount: listCount,
                                        codebooks: codebooks.baseAddress!, groups: groups,
                                        offsets: offsets.baseAddress!, rows: rows.baseAddress!,
                                        codes: codes.baseAddress!)
                                    return body(
                                        InvertedLists(parts, settings: settings, rows: coded, exact: exact))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
