internal import LinearAlgebra

/// Lloyd's k-means by blocked matrix products, on all cores; the same seed gives the same bytes on any number of them.
struct KMeans {
    /// Points of one block: their products with the centroids stay in the cache of a core.
    private static let blockRows = 128

    /// The centroids, a row each.
    let centroids: Matrix

    /// Finds `count` centroids of `points`, of which there must be as many, in `iterations` rounds.
    init(_ points: Matrix, count: Int, iterations: Int, seed: UInt64) {
        precondition(count <= points.rows, "more centroids than points")
        centroids = Matrix(rows: count, columns: points.columns)
        var generator = SeededGenerator(seed: seed)
        let first = sampledRows(count, of: points.rows, using: &generator)
        for (index, row) in first.enumerated() {
            centroids[row: index].update(from: points[row: row], count: points.columns)
        }
        for _ in 0..<iterations {
            let nearest = nearest(to: points.elements, count: points.rows)
            move(points, Members(nearest, lists: count))
        }
    }

    /// The nearest centroid of each of `count` points.
    func nearest(to points: UnsafePointer<Float>, count: Int) -> [UInt32] {
        let dimension = centroids.columns
        let halves = (0..<centroids.rows).map { index in
            (0..<dimension).reduce(Float(0)) { $0 + centroids[index, $1] * centroids[index, $1] } / 2
        }
        return [UInt32](unsafeUninitializedCapacity: count) { nearest, initialized in
            nonisolated(unsafe) let nearest = nearest.baseAddress!
            parallelFor(count: count, grain: Self.blockRows) { block in
                let products = Matrix(rows: block.count, columns: centroids.rows)
                defer { withExtendedLifetime(products) {} }
                gemm(
                    transposeB: true, rows: block.count, columns: centroids.rows, inner: dimension,
                    points + block.lowerBound * dimension, lda: dimension, centroids.elements, ldb: dimension,
                    products.elements, ldc: centroids.rows)
                for (index, point) in block.enumerated() {
                    nearest[point] = Self.largest(products[row: index], minus: halves)
                }
            }
            initialized = count
        }
    }

    private static func largest(_ products: UnsafePointer<Float>, minus halves: [Float]) -> UInt32 {
        halves.withUnsafeBufferPointer { halves in
            var (best, most) = (0, -Float.infinity)
            for index in 0..<halves.count {
                let value = products[index] - halves[index]
                if value > most { (best, most) = (index, value) }
            }
            return UInt32(best)
        }
    }

    /// Moves each centroid to the mean of its points; one without points takes a point of the largest list.
    private func move(_ points: Matrix, _ members: Members) {
        let dimension = points.columns
        parallelFor(count: centroids.rows, grain: 16) { range in
            var sums = [Double](repeating: 0, count: dimension)
            for list in range where !members[list].isEmpty {
                for index in 0..<dimension { sums[index] = 0 }
                for point in members[list] {
                    let vector = points[row: Int(point)]
                    for index in 0..<dimension { sums[index] += Double(vector[index]) }
                }
                for index in 0..<dimension {
                    centroids[list, index] = Float(sums[index] / Double(members[list].count))
                }
            }
        }
        let largest = (0..<centroids.rows).max { members[$0].count < members[$1].count }!
        var donors = members[largest].makeIterator()
        for list in 0..<centroids.rows where members[list].isEmpty {
            guard let donor = donors.next() else { return }
            centroids[row: list].update(from: points[row: Int(donor)], count: dimension)
        }
    }
}

/// The rows of each list, in order.
struct Members {
    private let starts: [Int]
    private let rows: [UInt32]

    /// Sorts rows by the list that each belongs to.
    init(_ listOfRow: [UInt32], lists: Int) {
        var starts = [Int](repeating: 0, count: lists + 1)
        for list in listOfRow { starts[Int(list) + 1] += 1 }
        for list in 0..<lists { starts[list + 1] += starts[list] }
        var next = starts
        var rows = [UInt32](repeating: 0, count: listOfRow.count)
        for (row, list) in listOfRow.enumerated() {
            rows[next[Int(list)]] = UInt32(row)
            next[Int(list)] += 1
        }
        self.starts = starts
        self.rows = rows
    }

    subscript(list: Int) -> ArraySlice<UInt32> { rows[starts[list]..<starts[list + 1]] }
}

/// `wanted` different rows of `count`, evenly drawn and in ascending order; all of them where there are no more.
func sampledRows(_ wanted: Int, of count: Int, using generator: inout SeededGenerator) -> [Int] {
    guard wanted < count else { return Array(0..<count) }
    // Each row is taken with the probability that leaves the right number (Knuth's selection sampling).
    var sample: [Int] = []
    sample.reserveCapacity(wanted)
    for row in 0..<count where generator.uniform(below: count - row) < wanted - sample.count { sample.append(row) }
    return sample
}
