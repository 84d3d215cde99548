internal import CKernels
internal import Glibc
internal import LinearAlgebra
internal import Tables

/// Computes the 8-bit codes of a matrix (``CodedRows``).
struct CodedRowsBuilder: Sendable {
    let count: Int
    let dimension: Int
    private(set) var codes: [Int8]
    private(set) var scales: [Float]
    /// The scales of the coordinates, then the typical errors of their codes.
    private(set) var coordinates: [Float]
    private(set) var error: Float

    /// Rows of one chunk of the parallel loops.
    private static let grain = 4096
    /// A coordinate counts as no smaller than this part of the largest one: zeros must not be divided by.
    private static let smallestCoordinate = 1e-9
    /// No coordinate counts as more exact than this, in codes: a constant one has no errors at all.
    private static let smallestError = 1e-3

    /// Codes `count` rows on all cores; coordinates are scaled by their root mean squares where `scalesCoordinates`.
    init(_ rows: UnsafePointer<Float>, count: Int, dimension: Int, scalesCoordinates: Bool = true) {
        self.count = count
        self.dimension = dimension
        codes = [Int8](repeating: 0, count: count * dimension)
        scales = [Float](repeating: 0, count: count)
        error = 0
        let scale =
            scalesCoordinates
            ? rootMeanSquares(rows, count: count, dimension: dimension, least: Self.smallestCoordinate)
            : [Float](repeating: 1, count: dimension)
        coordinates = scale + scale
        encode(rows, scale)
        boundErrors(rows, scale)
    }

    private mutating func encode(_ rows: UnsafePointer<Float>, _ coordinate: [Float]) {
        let dimension = dimension
        codes.withUnsafeMutableBufferPointer { codes in
            scales.withUnsafeMutableBufferPointer { scales in
                nonisolated(unsafe) let (codes, scales) = (codes.baseAddress!, scales.baseAddress!)
                parallelFor(count: count, grain: Self.grain) { chunk in
                    for row in chunk {
                        let vector = rows + row * dimension
                        var largest = 0.0
                        for index in 0..<dimension {
                            largest = max(largest, abs(Double(vector[index]) / Double(coordinate[index])))
                        }
                        let scale = max(Float(largest / CodedRows.largestCode), CodedRows.smallestScale)
                        scales[row] = scale
                        for index in 0..<dimension {
                            let code = Double(vector[index]) / (Double(coordinate[index]) * Double(scale))
                            let bounded = min(max(code, -CodedRows.largestCode), CodedRows.largestCode)
                            codes[row * dimension + index] = Int8(bounded.rounded(.toNearestOrEven))
                        }
                    }
                }
            }
        }
    }

    /// Measures the errors of the codes: the typical one of each coordinate, and the largest of a row beside these.
    private mutating func boundErrors(_ rows: UnsafePointer<Float>, _ coordinate: [Float]) {
        let dimension = dimension
        let squares = sums { row, sums in
            for index in 0..<dimension {
                let error = error(rows, row, index, coordinate)
                sums[index] += error * error
            }
        }
        let typical = squares.map { Float(($0 / Double(count)).squareRoot() + Self.smallestError) }
        let largest = LargestOfChunks(chunks: (count + Self.grain - 1) / Self.grain)
        parallelFor(count: count, grain: Self.grain) { chunk in
            for row in chunk {
                var square = 0.0
                for index in 0..<dimension {
                    let ratio = error(rows, row, index, coordinate) / Double(typical[index])
                    square += ratio * ratio
                }
                largest.update(chunk.lowerBound / Self.grain, square.squareRoot())
            }
        }
        coordinates.replaceSubrange(dimension..., with: typical)
        // What the sums in double precision lose, many times over.
        error = Float(largest.value * (1 + 1e-9)).nextUp
    }

    private func error(
        _ rows: UnsafePointer<Float>, _ row: Int, _ index: Int, _ coordinate: [Float]
    ) -> Double {
        let place = row * dimension + index
        return Double(rows[place]) / (Double(coordinate[index]) * Double(scales[row])) - Double(codes[place])
    }

    private func sums(_ add: (Int, UnsafeMutablePointer<Double>) -> Void) -> [Double] {
        columnSums(count: count, dimension: dimension, grain: Self.grain, add)
    }
}

/// The largest number that each chunk of a parallel loop saw.
private final class LargestOfChunks: @unchecked Sendable {
    private let values: UnsafeMutableBufferPointer<Double>

    init(chunks: Int) {
        values = .allocate(capacity: max(1, chunks))
        values.initialize(repeating: 0)
    }

    deinit { values.deallocate() }

    func update(_ chunk: Int, _ value: Double) { values[chunk] = max(values[chunk], value) }

    var value: Double { values.max()! }
}

/// Sums over all rows for each of `dimension` columns, on all cores; partial sums are added in order.
func columnSums(
    count: Int, dimension: Int, grain: Int, _ add: (_ row: Int, _ sums: UnsafeMutablePointer<Double>) -> Void
) -> [Double] {
    let chunks = (count + grain - 1) / grain
    var partials = [Double](repeating: 0, count: max(1, chunks) * dimension)
    partials.withUnsafeMutableBufferPointer { partials in
        nonisolated(unsafe) let partials = partials.baseAddress!
        parallelFor(count: count, grain: grain) { chunk in
            for row in chunk { add(row, partials + chunk.lowerBound / grain * dimension) }
        }
    }
    return (0..<dimension).map { column in
        (0..<chunks).reduce(0) { $0 + partials[$1 * dimension + column] }
    }
}

/// The root mean square of each column beside the largest of them, which becomes 1; none below `least`.
func rootMeanSquares(_ rows: UnsafePointer<Float>, count: Int, dimension: Int, least: Double) -> [Float] {
    let squares = columnSums(count: count, dimension: dimension, grain: 4096) { row, sums in
        let vector = rows + row * dimension
        for index in 0..<dimension { sums[index] += Double(vector[index]) * Double(vector[index]) }
    }
    let roots = squares.map { ($0 / Double(max(1, count))).squareRoot() }
    let largest = roots.max() ?? 0
    return roots.map { largest > 0 ? Float(max($0 / largest, least)) : 1 }
}

// MARK: - In a table

extension CodedRowsBuilder {
    /// The tensors of the codes of `matrix`.
    func specs(_ matrix: String) -> [TensorSpec] {
        [
            TensorSpec(matrix + ".codes", .int8, shape: [count, dimension]),
            TensorSpec(matrix + ".scales", .float32, shape: [count]),
            TensorSpec(matrix + ".coordinates", .float32, shape: [2, dimension]),
            TensorSpec(matrix + ".error", .float32, shape: [1]),
        ]
    }

    /// Writes the tensors.
    func write(_ matrix: String, to writer: SafetensorsWriter) throws(TableError) {
        try writer.write(codes, to: matrix + ".codes")
        try writer.write(scales, to: matrix + ".scales")
        try writer.write(coordinates, to: matrix + ".coordinates")
        try writer.write([error], to: matrix + ".error")
    }

    /// Lends the codes to a search.
    func withRows<Value>(_ body: (CodedRows) -> Value) -> Value {
        codes.withUnsafeBufferPointer { codes in
            scales.withUnsafeBufferPointer { scales in
                coordinates.withUnsafeBufferPointer { coordinates in
                    body(
                        CodedRows(
                            codes: codes.baseAddress!, scales: scales.baseAddress!,
                            coordinates: coordinates.baseAddress!, error: error, count: count, dimension: dimension))
                }
            }
        }
    }
}
