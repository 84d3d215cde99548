internal import Learning
internal import LinearAlgebra
internal import Tables

/// What makes source vectors of products that came after the training, as tensors for L layers of vectors of d
/// coordinates, k kinds of neighbours, n products and m features:
/// - `encoder.layers` F32 [L, 1 + k, d, d]: the matrices of each layer, for the row itself and for each kind of messages
///   (what it leads to by purchases, what leads to it; then the same by views, where there are any);
/// - `encoder.heads` F32 [L + 1, d, d]: the matrices from each layer's row to the source row;
/// - `encoder.hidden` F32 [L, n, d]: the rows of the known products that make up messages, by layer;
/// - `encoder.scores` F32 [3]: the temperature, and the weights of out- and in-degree in the direction offset;
/// - `encoder.features.names.offsets` U64 [m + 1], `.bytes` U8: the column, and behind a | the value, if it is for one;
/// - `encoder.features.rows` F32 [m, d]: the learned rows of the features;
/// - `encoder.features.scales` F32 [m, 2]: the mean and one over the deviation of a numeric column; the latter 0 for values.
///
/// A tensor without elements is left out, and so are the features where there were none.
struct EncoderTables: Sendable {
    private let encoder: DualEncoder
    private let temperature: Float
    private let products: ProductFeatures?
    private let offset: DirectionOffset?

    init(_ run: TrainingRun, _ products: ProductFeatures?, offset: DirectionOffset?) {
        encoder = run.encoder
        temperature = run.temperature
        self.products = products
        self.offset = offset
    }

    /// The tensors to write beside the vectors.
    var tensors: [CarriedTensor] {
        let dimension = encoder.source.columns
        let layers = encoder.layers.count
        func tensor(_ name: String, _ shape: [Int], _ matrices: [Matrix]) -> CarriedTensor {
            CarriedTensor(RelatedEmbeddings.encoderPrefix + name, shape: shape, matrices.flatMap(\.array))
        }
        var tensors = [
            tensor("heads", [layers + 1, dimension, dimension], encoder.sourceHeads.map(\.value)),
            CarriedTensor(
                RelatedEmbeddings.encoderPrefix + "scores", shape: [3],
                [temperature, Float(offset?.outWeight ?? 0), Float(offset?.inWeight ?? 0)]),
        ]
        if layers > 0 {
            let matrices = encoder.layers.map(\.parameters)
            tensors += [
                tensor(
                    "layers", [layers, matrices[0].count, dimension, dimension], matrices.joined().map(\.value)),
                tensor("hidden", [layers, encoder.source.rows, dimension], Array(encoder.hidden.dropLast())),
            ]
        }
        if let products, let features = encoder.input.features {
            let prefix = RelatedEmbeddings.encoderPrefix + "features."
            var offsets: [UInt64] = [0]
            var bytes: [UInt8] = []
            for name in products.names {
                bytes += name.utf8
                offsets.append(UInt64(bytes.count))
            }
            tensors += [
                CarriedTensor(prefix + "names.offsets", shape: [offsets.count], offsets),
                CarriedTensor(prefix + "names.bytes", shape: [bytes.count], bytes),
                tensor("features.rows", [products.names.count, dimension], [features.value]),
                CarriedTensor(prefix + "scales", shape: [products.names.count, 2], products.scales),
            ]
        }
        return tensors
    }
}

extension Matrix {
    /// A copy of the elements.
    var array: [Float] { Array(UnsafeBufferPointer(start: elements, count: count)) }
}
