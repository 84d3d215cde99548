/// What a learner of related products hands over: two vectors for each product.
///
/// The score of v as related to u is `source[u] . target[v]`; everything that belongs to a score, temperature and bias
/// included, is folded into the vectors. In files: the tensors `ids.offsets` U64 [n + 1], `ids.bytes` U8, `source` F32
/// [n, dimension] and `target` F32 [n, dimension]; beside them tensors that not every learner writes (``extras``).
public struct RelatedEmbeddings: Sendable {
    /// Metadata whose key begins so is a number measured on held-out data; the rest of the key is its name.
    public static let metricPrefix = "metric."

    /// The metadata, and the attribute of a table, that names what ranks lists of known products.
    public static let rankerKey = "ranker"
    /// Metadata and attributes whose key begins so are the parameters of the ranker.
    public static let rankerPrefix = "ranker."
    /// The name of the ranker that is the inner product alone.
    public static let innerProduct = "innerProduct"

    /// The file they were read from, or a word for what holds them; errors name it.
    public let path: String
    /// The coordinates of one vector.
    public let dimension: Int
    /// Where the id of each product starts in ``idBytes``, and after them where the last one ends.
    public let idOffsets: [UInt64]
    /// The ids in UTF-8, one after another.
    public let idBytes: [UInt8]
    /// n rows of `dimension` coordinates: what a product leads to.
    public let source: [Float]
    /// n rows of `dimension` coordinates: what leads to a product.
    public let target: [Float]
    /// How the vectors were made.
    public let metadata: [String: String]
    /// The tensors beside those above, as they are: `graph.` what a ranker of lists looks at, `encoder.` what makes vectors
    /// of new products. Files may hold others, which are passed over.
    public let extras: [CarriedTensor]

    /// What the names of ``extras`` that go into a published table begin with.
    public static let encoderPrefix = "encoder."
    /// What the names of ``extras`` that a ranker looks at begin with.
    public static let graphPrefix = "graph."

    /// The number of products.
    public var count: Int { idOffsets.count - 1 }

    /// What the metadata says was measured on held-out data; values that are no finite numbers are left out.
    public var metrics: [String: Double] {
        var metrics: [String: Double] = [:]
        for (key, text) in metadata where key.hasPrefix(Self.metricPrefix) {
            if let value = Double(text), value.isFinite {
                metrics[String(key.dropFirst(Self.metricPrefix.count))] = value
            }
        }
        return metrics
    }

    private enum Limit {
        /// Rows are 32-bit numbers, of which two are kept free.
        static let products = Int(UInt32.max) - 1
        /// Far beyond what embeddings of graphs gain from.
        static let dimension = 4096
    }

    /// Takes vectors from memory, row-major in the order of `ids`.
    ///
    /// Throws where sizes differ, an id is empty or too long, or a coordinate is not finite.
    public init(
        ids: [String], dimension: Int, source: [Float], target: [Float], metadata: [String: String] = [:],
        extras: [CarriedTensor] = []
    ) throws(TableError) {
        path = "embeddings"
        self.dimension = dimension
        var offsets: [UInt64] = [0]
        var bytes: [UInt8] = []
        for id in ids {
            bytes += id.utf8
            offsets.append(UInt64(bytes.count))
        }
        idOffsets = offsets
        idBytes = bytes
        self.source = source
        self.target = target
        self.metadata = metadata
        self.extras = extras
        try validate()
    }

    /// Reads a file and checks it; its tensors may be in any order and need not be aligned.
    public init(path: String) throws(TableError) {
        let file = try SafetensorsFile(path: path)
        defer { withExtendedLifetime(file) {} }
        let source = try file.tensor(named: "source")
        self.source = try source.copy(as: Float.self, shape: [nil, nil])
        let (count, dimension) = (source.shape[0], source.shape[1])
        self.path = path
        self.dimension = dimension
        target = try file.tensor(named: "target").copy(as: Float.self, shape: [count, dimension])
        idOffsets = try file.tensor(named: "ids.offsets").copy(as: UInt64.self, shape: [count + 1])
        idBytes = try file.tensor(named: "ids.bytes").copy(as: UInt8.self, shape: [nil])
        metadata = file.metadata
        extras = file.tensors.filter { tensor in
            [Self.encoderPrefix, Self.graphPrefix].contains { tensor.name.hasPrefix($0) }
        }.map { CarriedTensor($0) }
        try validate()
    }

    /// Writes the file in one step: at `path` is either the whole new file or what was there before.
    public func write(to path: String) throws(TableError) {
        let (parent, name) = split(path: path)
        let directory = try Directory(path: parent)
        let temporary = Directory.temporaryName()
        do {
            let file = try directory.makeFile(temporary)
            let writer = try SafetensorsWriter(file, tensors: specs, metadata: metadata)
            try writer.write(idOffsets, to: "ids.offsets")
            try writer.write(idBytes, to: "ids.bytes")
            try writer.write(source, to: "source")
            try writer.write(target, to: "target")
            for tensor in extras { try writer.write(tensor) }
            try writer.finish()
            try directory.rename(temporary, to: name)
            try directory.sync()
        } catch {
            directory.remove(temporary)
            throw error
        }
    }

    private var specs: [TensorSpec] {
        [
            TensorSpec("source", .float32, shape: [count, dimension]),
            TensorSpec("target", .float32, shape: [count, dimension]),
            TensorSpec("ids.offsets", .uint64, shape: [count + 1]),
            TensorSpec("ids.bytes", .uint8, shape: [idBytes.count]),
        ] + extras.map(\.spec)
    }

    /// The extra tensor of a name; nil where there is none.
    public func extra(named name: String) -> CarriedTensor? { extras.first { $0.spec.name == name } }

    private func validate() throws(TableError) {
        guard dimension >= 1, dimension <= Limit.dimension else {
            throw error("source", "has vectors of \(dimension) coordinates, 1 to \(Limit.dimension) are possible")
        }
        guard count >= 1, count <= Limit.products else {
            throw error("ids.offsets", "holds \(count) products, 1 to \(Limit.products) are possible")
        }
        for (name, values) in [("source", source), ("target", target)] {
            guard values.count == count * dimension else {
                throw error(name, "has \(values.count) coordinates, \(count) x \(dimension) are needed")
            }
            if let bad = values.firstIndex(where: { !$0.isFinite }) {
                throw error(name, "holds \(values[bad]) in row \(bad / dimension)")
            }
        }
        let result = idOffsets.withUnsafeBufferPointer { offsets in
            idBytes.withUnsafeBufferPointer { bytes in
                Result { () throws(TableError) in
                    try StringColumn(offsets: offsets, bytes: bytes) { reason in error("ids.offsets", reason) }
                }
            }
        }
        _ = try result.get()
    }

    /// Lends the ids as a column.
    public func withIDs<Value>(_ body: (StringColumn) -> Value) -> Value {
        idOffsets.withUnsafeBufferPointer { offsets in
            idBytes.withUnsafeBufferPointer { bytes in
                body(StringColumn(checkedOffsets: offsets, bytes: bytes))
            }
        }
    }

    /// An error about one of the tensors.
    public func error(_ tensor: String, _ reason: String) -> TableError {
        TableError(
            path: path, reason: "tensor '\(tensor)' \(reason)", remedy: "correct the embeddings and write them again")
    }
}
