internal import Foundation
public import Graph
internal import Learning

/// What is known of the products of a graph, as numbers to learn from.
///
/// A column whose cells are all numbers or empty is one feature, its values standardised to mean 0 and deviation 1; any
/// other column is a feature for each of its values, and a product has those that stand in its cell.
public struct ProductFeatures: Sendable {
    /// The names of the features: that of the column and, for a value, ``separator`` and the value.
    let names: [String]
    /// Two numbers a feature: the mean of the column, and one over its deviation; the latter is 0 for a value.
    let scales: [Float]
    /// By product, where its features begin in ``indices`` and ``values``; one more entry than products.
    let offsets: [Int]
    /// The numbers of features.
    let indices: [UInt32]
    /// The values of features; 1 where the product simply has it.
    let values: [Float]
    /// The purchases and views of the known products, and of those that have features alone.
    public let graphs: EdgeGraphs
    /// The number of features.
    public var count: Int { names.count }
    /// How many products were left out because they have neither features nor edges.
    public let leftOut: Int

    /// Between column and value in the name of a feature; no column of a file can hold it.
    public static let separator: Character = "|"

    /// Finds the products of a file among those of the edges, and adds the others at the end.
    public init(_ file: ProductFile, graphs: EdgeGraphs) {
        var ids = graphs.purchases.ids
        var lines = [Int?](repeating: nil, count: ids.count)
        var leftOut = 0
        for line in 0..<file.ids.count {
            if let row = ids.row(of: file.ids[line]) {
                lines[row] = line
            } else if file.columns.contains(where: { !$0.values(line).isEmpty }) {
                ids.add(file.ids[line])
                lines.append(line)
            } else {
                leftOut += 1
            }
        }
        self.leftOut = leftOut
        self.graphs = EdgeGraphs(
            purchases: graphs.purchases.extended(to: ids), views: graphs.views.extended(to: ids))
        let columns = file.columns.map { FeatureColumn($0) }
        var names: [String] = []
        var scales: [Float] = []
        var starts: [Int] = []
        for column in columns {
            starts.append(names.count)
            names += column.features
            scales += column.features.flatMap { _ in [column.mean, column.perDeviation] }
        }
        self.names = names
        self.scales = scales
        var offsets = [0]
        var indices: [UInt32] = []
        var values: [Float] = []
        for line in lines {
            if let line {
                for (column, start) in zip(columns, starts) {
                    for (feature, value) in column.values(line) {
                        indices.append(UInt32(start + feature))
                        values.append(value)
                    }
                }
            }
            offsets.append(indices.count)
        }
        self.offsets = offsets
        self.indices = indices
        self.values = values
    }

    /// The features as the encoder takes them.
    var input: InputFeatures {
        var scaled = values
        for row in 0..<offsets.count - 1 {
            let entries = offsets[row]..<offsets[row + 1]
            for entry in entries { scaled[entry] /= Float(entries.count).squareRoot() }
        }
        let (purchases, views) = (graphs.purchases, graphs.views)
        return InputFeatures(
            SparseMatrix(columns: names.count, offsets: offsets, indices: indices, values: scaled),
            hasRow: (0..<offsets.count - 1).map { purchases.degree($0) + views.degree($0) > 0 })
    }
}

/// The features of one column.
private struct FeatureColumn {
    let features: [String]
    let mean: Float
    let perDeviation: Float
    private let column: ProductFile.Column
    private let places: [String: Int]

    private var isNumeric: Bool { perDeviation > 0 }

    init(_ column: ProductFile.Column) {
        self.column = column
        var numbers: [Double] = []
        var isNumeric = true
        var values: Set<String> = []
        for row in 0..<column.count {
            for value in Set(column.values(row)) {
                values.insert(String(value))
                if let number = Self.number(value), column.values(row).count == 1 {
                    numbers.append(number)
                } else {
                    isNumeric = false
                }
            }
        }
        guard isNumeric, !numbers.isEmpty else {
            let sorted = values.sorted()
            features = sorted.map { "\(column.name)\(ProductFeatures.separator)\($0)" }
            places = Dictionary(uniqueKeysWithValues: zip(sorted, sorted.indices))
            (mean, perDeviation) = (0, 0)
            return
        }
        let mean = numbers.reduce(0, +) / Double(numbers.count)
        let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(numbers.count)
        features = [column.name]
        places = [:]
        self.mean = Float(mean)
        // A column of one number says that the product has one at all.
        perDeviation = variance > 0 ? Float(1 / variance.squareRoot()) : 1
    }

    /// The features of a line of the file and their values.
    func values(_ line: Int) -> [(Int, Float)] {
        if isNumeric {
            return column.values(line).compactMap { Self.number($0).map { (0, (Float($0) - mean) * perDeviation) } }
        }
        return Set(column.values(line)).map { (places[String($0)]!, 1) }.sorted { $0.0 < $1.0 }
    }

    private static func number(_ text: Substring) -> Double? {
        guard let number = Double(text), number.isFinite, abs(number) <= 1e15 else { return nil }
        return number
    }
}
