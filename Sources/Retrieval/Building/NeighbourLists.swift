internal import LinearAlgebra

/// Computes the exact list of the best targets for every source vector, by blocked matrix products.
struct NeighbourLists {
    /// Source vectors of one block: with the tile below, their scores take 1 MiB and stay in the cache of a core.
    static let blockRows = 128
    /// Target vectors of one tile.
    private static let tileRows = 2048

    let source: UnsafePointer<Float>
    let targets: Scan
    let listLength: Int

    /// Computes the lists of a block of rows, `listLength` entries each and best first, into `lists`.
    ///
    /// `listLength` must be at least 1 and below the number of rows; a row is not in its own list.
    func compute(_ block: Range<Int>, into lists: UnsafeMutablePointer<ScoredRow>) {
        let dimension = targets.dimension
        let scores = Matrix(rows: block.count, columns: Self.tileRows)
        var tops = (0..<block.count).map { TopRows(lists + $0 * listLength, limit: listLength) }
        let margins = block.map { targets.margin(for: source + $0 * dimension) }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Scan.blockRows) { hits in
            for tile in stride(from: 0, to: targets.count, by: Self.tileRows) {
                let columns = min(Self.tileRows, targets.count - tile)
                gemm(
                    transposeB: true, rows: block.count, columns: columns, inner: dimension,
                    source + block.lowerBound * dimension, lda: dimension,
                    targets.rows + tile * dimension, ldb: dimension, scores.elements, ldc: Self.tileRows)
                for index in 0..<block.count {
                    let own = UInt32(block.lowerBound + index)
                    for start in stride(from: 0, to: columns, by: Scan.blockRows) {
                        targets.offer(
                            scores[row: index] + start, from: tile + start, count: min(Scan.blockRows, columns - start),
                            for: source + Int(own) * dimension, margin: margins[index], hits: hits.baseAddress!,
                            into: &tops[index]
                        ) { $0 == own }
                    }
                }
            }
        }
        for index in tops.indices { tops[index].sort() }
    }

    /// Re-ranks the lists of a block, as ``compute(_:into:)`` leaves them.
    func rerank(_ block: Range<Int>, by ranker: some NeighbourRanker, _ lists: UnsafeMutablePointer<ScoredRow>) {
        var reranking = Reranking(ranker.makeBoosts(), targets: targets, limit: listLength)
        defer { reranking.destroy() }
        for (index, row) in block.enumerated() {
            reranking.rerank(lists + index * listLength, of: UInt32(row), query: source + row * targets.dimension)
        }
    }
}
