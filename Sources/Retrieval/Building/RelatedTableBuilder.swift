internal import LinearAlgebra
internal import Synchronization
public import Tables

/// Makes a table of related products from embeddings: the hash index of the ids and the exact list of every product.
public struct RelatedTableBuilder: Sendable {
    /// The entries of a list unless said otherwise.
    public static let defaultListLength = 100
    /// The entries that can be asked for. Far beyond what a shop shows, and a scan finds longer answers; it bounds what
    /// lists take, eight bytes an entry.
    public static let listLengths = 0...10_000

    /// What the table is made from.
    public let embeddings: RelatedEmbeddings
    /// The entries of a list: as many as asked for, and no more than there are other products.
    public let listLength: Int
    /// The categories of the products; nil: they have none.
    public var categories: CategoryTensors?
    /// What ranks the lists beyond the inner product; nil: nothing.
    public var ranker: (any NeighbourRanker)?
    private let slots: [UInt32]
    private let largestTargetNorm: Double

    /// Checks the embeddings and builds the index of their ids.
    ///
    /// Throws where `listLength` is not one of ``listLengths``, an id comes twice or a vector is too long.
    public init(_ embeddings: RelatedEmbeddings, listLength: Int = defaultListLength) throws(TableError) {
        guard Self.listLengths.contains(listLength) else {
            throw TableError(
                path: embeddings.path,
                reason: "list-length must be from \(Self.listLengths.lowerBound) to \(Self.listLengths.upperBound), "
                    + "not \(listLength)",
                remedy: "choose one of these; longer answers are found by a scan")
        }
        self.embeddings = embeddings
        self.listLength = min(listLength, embeddings.count - 1)
        slots = try Self.buildIndex(embeddings)
        _ = try Self.largestNorm(embeddings, "source", embeddings.source)
        largestTargetNorm = try Self.largestNorm(embeddings, "target", embeddings.target)
    }

    /// Publishes the table as the next version of `name`, or as `version`, and returns its version.
    ///
    /// The embeddings' metadata go into the manifest as its metrics and attributes. `progress` hears from several
    /// threads how many products have their list, and of how many. `recall` is what answers from inverted lists must
    /// reach, ``VectorIndexBuilder/recalls``; `report` hears what searches of the table will use.
    public func publish(
        to store: Store, name: String, version: Int? = nil, buildID: String,
        recall: Double = VectorIndexBuilder.defaultRecall,
        progress: @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }, report: (String) -> Void = { _ in }
    ) throws(TableError) -> Int {
        precondition(categories?.ofRows.count ?? embeddings.count == embeddings.count, "categories of other products")
        let index = VectorIndexBuilder(embeddings, largestTargetNorm: largestTargetNorm, recall: recall)
        report(index.summary)
        let contents = TableContents(
            kind: RelatedTable.kind, tensors: specs + index.specs, buildID: buildID,
            metrics: embeddings.metrics.merging(index.metrics) { $1 },
            attributes: attributes.merging(index.attributes) { $1 })
        return try store.publish(name, version: version, contents) { writer throws(TableError) in
            try writer.write(embeddings.idOffsets, to: "ids.offsets")
            try writer.write(embeddings.idBytes, to: "ids.bytes")
            try writer.write(slots, to: "ids.slots")
            try writer.write(embeddings.source, to: "source")
            try writer.write(embeddings.target, to: "target")
            for tensor in carried { try writer.write(tensor) }
            try categories?.write(to: writer)
            try index.write(to: writer)
            try writeLists(writer, progress)
        }
    }

    /// What the embeddings say about themselves, and which ranker made the lists: theirs need not be the one.
    private var attributes: [String: String] {
        typealias Key = RelatedEmbeddings
        var attributes = embeddings.metadata.filter { key, _ in
            key != Key.rankerKey && !key.hasPrefix(Key.rankerPrefix) && !key.hasPrefix(Key.metricPrefix)
        }
        attributes[Key.rankerKey] = ranker?.name ?? Key.innerProduct
        for (name, value) in ranker?.parameters ?? [:] { attributes[Key.rankerPrefix + name] = value }
        return attributes
    }

    private var specs: [TensorSpec] {
        let (count, dimension) = (embeddings.count, embeddings.dimension)
        return [
            TensorSpec("source", .float32, shape: [count, dimension]),
            TensorSpec("target", .float32, shape: [count, dimension]),
            TensorSpec("lists.rows", .uint32, shape: [count, listLength]),
            TensorSpec("lists.scores", .float32, shape: [count, listLength]),
            TensorSpec("ids.offsets", .uint64, shape: [count + 1]),
            TensorSpec("ids.slots", .uint32, shape: [slots.count]),
            TensorSpec("ids.bytes", .uint8, shape: [embeddings.idBytes.count]),
        ] + carried.map(\.spec) + (categories?.specs ?? [])
    }

    /// What makes vectors of new products is for whoever opens the table.
    private var carried: [CarriedTensor] {
        embeddings.extras.filter { $0.spec.name.hasPrefix(RelatedEmbeddings.encoderPrefix) }
    }

    /// Computes the lists block by block and writes each block where it belongs: memory does not grow with them.
    private func writeLists(
        _ writer: SafetensorsWriter, _ progress: @Sendable (Int, Int) -> Void
    ) throws(TableError) {
        guard listLength > 0 else { return }
        let failure = Mutex<TableError?>(nil)
        let done = Mutex(0)
        embeddings.source.withUnsafeBufferPointer { source in
            embeddings.target.withUnsafeBufferPointer { target in
                let targets = Scan(
                    rows: target.baseAddress!, count: embeddings.count, dimension: embeddings.dimension,
                    largestNorm: largestTargetNorm)
                let lists = NeighbourLists(source: source.baseAddress!, targets: targets, listLength: listLength)
                parallelFor(count: embeddings.count, grain: NeighbourLists.blockRows) { block in
                    guard failure.withLock({ $0 == nil }) else { return }
                    do throws(TableError) {
                        try write(block, of: lists, to: writer)
                    } catch {
                        failure.withLock { $0 = error }
                        return
                    }
                    done.withLock {
                        $0 += block.count
                        progress($0, embeddings.count)
                    }
                }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    private func write(
        _ block: Range<Int>, of lists: NeighbourLists, to writer: SafetensorsWriter
    ) throws(TableError) {
        let size = block.count * listLength
        let entries = UnsafeMutablePointer<ScoredRow>.allocate(capacity: size)
        defer { entries.deallocate() }
        lists.compute(block, into: entries)
        if let ranker { lists.rerank(block, by: ranker, entries) }
        let rows = (0..<size).map { entries[$0].row }
        let scores = (0..<size).map { entries[$0].score }
        let start = block.lowerBound * listLength
        try writer.write(rows, to: "lists.rows", from: start)
        try writer.write(scores, to: "lists.scores", from: start)
    }

    private static func buildIndex(_ embeddings: RelatedEmbeddings) throws(TableError) -> [UInt32] {
        let result = embeddings.withIDs { ids in
            Result { () throws(TableError) in
                do throws(IDIndex.Fault) {
                    return try IDIndex.build(ids)
                } catch {
                    switch error {
                    case .duplicate(let first, let second):
                        let id = String(decoding: ids[first], as: UTF8.self)
                        throw embeddings.error("ids.bytes", "has the id \(id.quoted) in rows \(first) and \(second)")
                    case .collisions:
                        throw embeddings.error("ids.bytes", "has too many ids of nearly the same hash")
                    }
                }
            }
        }
        return try result.get()
    }

    private static func largestNorm(
        _ embeddings: RelatedEmbeddings, _ tensor: String, _ vectors: [Float]
    ) throws(TableError) -> Double {
        let norm = vectors.withUnsafeBufferPointer {
            VectorLimit.largestNorm($0.baseAddress!, count: embeddings.count, dimension: embeddings.dimension)
        }
        guard let norm else { throw embeddings.error(tensor, "holds a vector longer than \(VectorLimit.norm)") }
        return norm
    }
}
