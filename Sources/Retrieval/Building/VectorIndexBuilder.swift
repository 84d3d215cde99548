internal import LinearAlgebra
internal import Tables

/// Builds what a table holds for searches: 8-bit codes of both matrices, and inverted lists where they pay.
public struct VectorIndexBuilder: Sendable {
    /// The recall that inverted lists must reach unless said otherwise.
    public static let defaultRecall = 0.99
    /// What can be asked for. All of the best rows are only found by an exact scan.
    public static let recalls = 0.5...0.999
    /// Rows from which on inverted lists are built: an exact scan of fewer takes a quarter of a millisecond at most, not
    /// long beside the network, and misses nothing.
    public static let smallestCount = 100_000

    private let source: CodedRowsBuilder
    private let target: CodedRowsBuilder
    private let lists: InvertedListsBuilder.Outcome

    init(_ embeddings: RelatedEmbeddings, largestTargetNorm: Double, recall: Double) {
        let (count, dimension) = (embeddings.count, embeddings.dimension)
        (source, target, lists) = embeddings.source.withUnsafeBufferPointer { sources in
            embeddings.target.withUnsafeBufferPointer { targets in
                let rows = targets.baseAddress!
                let scan = Scan(rows: rows, count: count, dimension: dimension, largestNorm: largestTargetNorm)
                let target = CodedRowsBuilder(rows, count: count, dimension: dimension)
                return (
                    CodedRowsBuilder(sources.baseAddress!, count: count, dimension: dimension), target,
                    InvertedListsBuilder.build(scan, codes: target, queries: sources, recall: recall)
                )
            }
        }
    }

    /// What searches will use, in a line.
    var summary: String {
        switch lists {
        case .none(let reason): "exact scan of 8-bit codes; no inverted lists: \(reason)"
        case .lists(let lists): lists.summary
        }
    }

    var specs: [TensorSpec] {
        source.specs("source") + target.specs(InvertedLists.matrix) + (lists.built?.specs ?? [])
    }

    var metrics: [String: Double] { lists.built?.metrics ?? [:] }
    var attributes: [String: String] { lists.built?.attributes ?? [:] }

    func write(to writer: SafetensorsWriter) throws(TableError) {
        try source.write("source", to: writer)
        try target.write(InvertedLists.matrix, to: writer)
        try lists.built?.write(to: writer)
    }
}
