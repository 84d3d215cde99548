internal import Glibc
public import Tables

/// Why nothing can be said of a new product.
public enum NewProductError: Error, Equatable, Sendable {
    /// None of its features is known to the model, and it has no neighbours that the model would listen to.
    case nothingKnown
}

/// The source vectors of products that came after the training, from the tensors `encoder.` of a table: the forward pass
/// of the trainer for one node more. `encoder.scores` and `encoder.heads` are there where new products are possible,
/// `encoder.layers` and `encoder.hidden` where neighbours say something of them, `encoder.features.` where features do.
///
/// Any number of threads may ask at once.
public final class NewProducts: @unchecked Sendable {
    /// The coordinates of a vector.
    public let dimension: Int
    /// The number of known products.
    public let count: Int
    /// Whether features say something of a product.
    public var knowsFeatures: Bool { !features.isEmpty }
    /// Whether neighbours say something of a product.
    public var knowsNeighbours: Bool { layers != nil }

    private let table: Table
    private let heads: UnsafeBufferPointer<Float>
    private let scores: UnsafeBufferPointer<Float>
    private let layers: Layers?
    /// The number of a feature by its name.
    private var features: [String: Int] = [:]
    private var featureRows = UnsafeBufferPointer<Float>(start: nil, count: 0)
    private var featureScales = UnsafeBufferPointer<Float>(start: nil, count: 0)

    private struct Layers {
        let count: Int
        /// Matrices of a layer.
        let matrices: Int
        let values: UnsafeBufferPointer<Float>
        let hidden: UnsafeBufferPointer<Float>
    }

    /// Between column and value in the name of a feature, and between the values of a cell.
    private static let separator: Character = "|"
    /// Of the row normalisation: a row of zeros stays one.
    private static let epsilon: Float = 1e-12

    /// Reads the encoder of a table of related products; nil where it has none.
    ///
    /// - Throws: where its tensors do not fit each other or the table's vectors.
    public init?(_ table: Table) throws(TableError) {
        guard let heads = Self.tensor("encoder.heads", of: table) else { return nil }
        self.table = table
        let source = try table.tensor(named: "source")
        _ = try source.elements(as: Float.self, shape: [nil, nil])
        (count, dimension) = (source.shape[0], source.shape[1])
        self.heads = try heads.elements(as: Float.self, shape: [nil, dimension, dimension])
        scores = try table.tensor(named: "encoder.scores").elements(as: Float.self, shape: [3])
        let layerCount = heads.shape[0] - 1
        guard layerCount >= 0, dimension > 2 else { throw heads.error("has the shape \(heads.shape)") }
        if layerCount > 0 {
            let tensor = try table.tensor(named: "encoder.layers")
            let values = try tensor.elements(as: Float.self, shape: [layerCount, nil, dimension, dimension])
            guard tensor.shape[1] >= 3 else { throw tensor.error("has the shape \(tensor.shape)") }
            layers = Layers(
                count: layerCount, matrices: tensor.shape[1], values: values,
                hidden: try table.tensor(named: "encoder.hidden")
                    .elements(as: Float.self, shape: [layerCount, count, dimension]))
        } else {
            layers = nil
        }
        guard let offsets = Self.tensor("encoder.features.names.offsets", of: table) else { return }
        let names = try StringColumn(offsets: offsets, bytes: table.tensor(named: "encoder.features.names.bytes"))
        featureRows = try table.tensor(named: "encoder.features.rows")
            .elements(as: Float.self, shape: [names.count, dimension])
        featureScales = try table.tensor(named: "encoder.features.scales")
            .elements(as: Float.self, shape: [names.count, 2])
        for feature in 0..<names.count { features[String(decoding: names[feature], as: UTF8.self)] = feature }
    }

    /// How many coordinates of the encoder a product with so many neighbours takes.
    public func work(neighbours: Int) -> Int {
        let layerWork = layers.map { $0.count * ($0.matrices * dimension + neighbours) } ?? 0
        return heads.count + layerWork * dimension
    }

    private static func tensor(_ name: String, of table: Table) -> TensorView? { try? table.tensor(named: name) }

    /// Writes the source vector of a new product.
    ///
    /// - Parameters:
    ///   - features: columns and cells as in the file of products that the model was trained with; unknown columns and
    ///     values say nothing.
    ///   - leadsTo: rows of known products that it leads to.
    ///   - follows: rows of known products that lead to it.
    ///   - vector: where its ``dimension`` coordinates go.
    /// - Throws: where nothing that is given says anything.
    public func sourceVector(
        features: [(name: String, value: String)], leadsTo: [UInt32], follows: [UInt32],
        into vector: UnsafeMutablePointer<Float>
    ) throws(NewProductError) {
        let known = known(features)
        guard !known.isEmpty || (layers != nil && !(leadsTo.isEmpty && follows.isEmpty)) else {
            throw .nothingKnown
        }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: dimension) { input in
            let input = input.baseAddress!
            input.initialize(repeating: 0, count: dimension)
            let scale = 1 / Float(known.count).squareRoot()
            for (feature, value) in known {
                add(value * scale, featureRows.baseAddress! + feature * dimension, to: input)
            }
            encode(input, leadsTo: leadsTo, follows: follows, into: vector)
        }
    }

    /// The known features and their values, in the order of the model.
    private func known(_ given: [(name: String, value: String)]) -> [(feature: Int, value: Float)] {
        var known: [(feature: Int, value: Float)] = []
        for (name, cell) in given {
            let values = Set(cell.split(separator: Self.separator))
            if let feature = features[name], featureScales[2 * feature + 1] > 0 {
                guard values.count == 1, let number = Double(values.first!), abs(number) <= 1e15 else { continue }
                known.append((feature, (Float(number) - featureScales[2 * feature]) * featureScales[2 * feature + 1]))
                continue
            }
            for value in values {
                if let feature = features["\(name)\(Self.separator)\(value)"] { known.append((feature, 1)) }
            }
        }
        return known.sorted { $0.feature < $1.feature }
    }

    /// The forward pass of one node from its input, which it overwrites.
    func encode(
        _ row: UnsafeMutablePointer<Float>, leadsTo: [UInt32], follows: [UInt32],
        into vector: UnsafeMutablePointer<Float>
    ) {
        let size = dimension * dimension
        vector.update(repeating: 0, count: dimension)
        multiply(row, heads.baseAddress!, addingTo: vector)
        if let layers {
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * dimension) { scratch in
                let next = scratch.baseAddress!
                let messages = next + dimension
                for layer in 0..<layers.count {
                    let matrices = layers.values.baseAddress! + layer * layers.matrices * size
                    let hidden = layers.hidden.baseAddress! + layer * count * dimension
                    next.initialize(repeating: 0, count: dimension)
                    multiply(row, matrices, addingTo: next)
                    for (kind, neighbours) in [leadsTo, follows].enumerated() where !neighbours.isEmpty {
                        let scale = 1 / Float(neighbours.count).squareRoot()
                        messages.initialize(repeating: 0, count: dimension)
                        for neighbour in neighbours { add(scale, hidden + Int(neighbour) * dimension, to: messages) }
                        multiply(messages, matrices + (1 + kind) * size, addingTo: next)
                    }
                    normalize(next)
                    row.update(from: next, count: dimension)
                    multiply(row, heads.baseAddress! + (layer + 1) * size, addingTo: vector)
                }
            }
        }
        normalize(vector)
        let last = dimension - 2
        for column in 0..<last { vector[column] *= scores[0] }
        vector[last] = 1
        vector[last + 1] = scores[1] * log1pf(Float(leadsTo.count)) - scores[2] * log1pf(Float(follows.count))
    }

    /// `result += row * matrix`.
    private func multiply(
        _ row: UnsafePointer<Float>, _ matrix: UnsafePointer<Float>, addingTo result: UnsafeMutablePointer<Float>
    ) {
        for index in 0..<dimension { add(row[index], matrix + index * dimension, to: result) }
    }

    private func add(_ scale: Float, _ row: UnsafePointer<Float>, to sum: UnsafeMutablePointer<Float>) {
        for column in 0..<dimension { sum[column] += scale * row[column] }
    }

    private func normalize(_ row: UnsafeMutablePointer<Float>) {
        var square = Self.epsilon
        for column in 0..<dimension { square += row[column] * row[column] }
        let length = square.squareRoot()
        for column in 0..<dimension { row[column] /= length }
    }
}
