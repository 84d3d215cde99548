internal import Glibc
public import LinearAlgebra

/// Pairs that should score high, grouped by source row.
public struct PairBatch: Sendable {
    /// The source rows, ascending and each once.
    public var sources: [UInt32]
    /// Where the pairs of each source begin; one more entry than sources.
    public var offsets: [Int]
    /// The target row of each pair.
    public var targets: [UInt32]
    /// The weight of each pair in the loss.
    public var weights: [Float]
    /// The weight of the direction term of each pair; 0 where the pair has no direction.
    public var directionWeights: [Float]

    /// An empty batch.
    public init() {
        sources = []
        offsets = [0]
        targets = []
        weights = []
        directionWeights = []
    }

    /// Adds a pair; pairs must come by ascending source.
    public mutating func append(source: UInt32, target: UInt32, weight: Float, directionWeight: Float) {
        if sources.last != source {
            precondition(sources.last.map { $0 < source } ?? true, "pairs must come by ascending source")
            sources.append(source)
            offsets.append(targets.count)
        }
        targets.append(target)
        weights.append(weight)
        directionWeights.append(directionWeight)
        offsets[offsets.count - 1] = targets.count
    }
}

/// Targets drawn once for a whole batch, against which every pair of it competes.
public struct SharedNegatives: Sendable {
    /// The drawn rows; a row may occur several times.
    public var rows: [UInt32]
    /// The logarithm of how often each drawn row is expected among them: log(count * probability).
    public var logExpectedCounts: [Float]

    /// Negatives with their expected counts.
    public init(rows: [UInt32], logExpectedCounts: [Float]) {
        precondition(rows.count == logExpectedCounts.count, "one expected count for each negative")
        self.rows = rows
        self.logExpectedCounts = logExpectedCounts
    }
}

/// The rows, temperature and biases that make up a score, and where their gradients go:
/// `score(u, v) = exp(logTemperature) * (source[u] . target[v]) + bias[v]`.
public struct PairScorer: Sendable {
    /// Source rows, one for each node.
    public let source: Matrix
    /// Target rows, one for each node.
    public let target: Matrix
    /// Gradient of ``source``, to which losses add theirs.
    public let sourceGradient: Matrix
    /// Gradient of ``target``, to which losses add theirs; the same matrix where sources and targets are the same rows.
    public let targetGradient: Matrix
    /// One bias for each node as a target (nodes x 1).
    public let bias: Parameter
    /// The logarithm of the temperature (1 x 1).
    public let logTemperature: Parameter

    /// A scorer over rows owned by the caller.
    public init(
        source: Matrix, target: Matrix, sourceGradient: Matrix, targetGradient: Matrix, bias: Parameter,
        logTemperature: Parameter
    ) {
        self.source = source
        self.target = target
        self.sourceGradient = sourceGradient
        self.targetGradient = targetGradient
        self.bias = bias
        self.logTemperature = logTemperature
    }

    /// Sets all gradients to zero.
    public func clearGradients() {
        for gradient in [sourceGradient, targetGradient, bias.gradient, logTemperature.gradient] { gradient.fill(0) }
    }

    var temperature: Float { exp(logTemperature.value[0, 0]) }

    func score(_ u: Int, _ v: Int, temperature: Float) -> Float {
        temperature * Rows.dot(source[row: u], target[row: v], source.columns) + bias.value[v, 0]
    }
}

/// The loss of directed pairs: a softmax of each pair against shared negatives, with the correction for their sampling
/// (Bengio and Senecal 2008), plus a logistic loss on the score of a pair less that of its reverse.
///
///     sum_i w_i [ -f(u,v) + log(exp f(u,v) + sum_j exp(f(u,j) - log expectedCount_j)) ] / total
///     + sum_i d_i softplus(f(v,u) - f(u,v)) / total
///
/// A negative that is a known target of the source, or the source itself, takes no part. The pairs may come in several
/// batches, which bounds the memory of a step; no source may be in two of them.
public struct SampledSoftmax {
    private let scorer: PairScorer
    private let known: SparseMatrix
    private let drawn: DrawnNegatives
    private let temperature: Float
    private let perWeight: Float

    /// Sources for one call of BLAS: its block of logits stays in the second-level cache.
    private static let sourcesPerBlock = 128
    /// Each chunk of sources has partial sums of its own: enough chunks to keep many cores busy, few enough to add up.
    private static let chunks = 16

    /// - Parameters:
    ///   - known: by source row, the targets that must not count as negatives; the values are not read.
    ///   - total: what the loss is divided by, not 0: the weights of all pairs of all batches for their mean.
    public init(negatives: SharedNegatives, scorer: PairScorer, known: SparseMatrix, total: Float) {
        self.scorer = scorer
        self.known = known
        drawn = DrawnNegatives(negatives, scorer: scorer)
        temperature = scorer.temperature
        perWeight = 1 / total
    }

    /// Computes the loss of a batch and adds its gradients to those of the scorer.
    public func backward(_ batch: PairBatch) -> Float {
        let width = scorer.source.columns
        let sourcesPerChunk = max(1, (batch.sources.count + Self.chunks - 1) / Self.chunks)
        let partials = Matrix(rows: Self.chunks, columns: drawn.count * (width + 1) + 2)
        var slopes = PairSlopes(count: batch.targets.count)
        slopes.withPointers { existence, direction in
            parallelFor(count: batch.sources.count, grain: sourcesPerChunk) { range in
                chunk(
                    batch, range, partial: partials[row: range.lowerBound / sourcesPerChunk],
                    existence: existence, direction: direction)
            }
        }
        let loss = reduce(partials)
        addPairGradients(batch, slopes)
        return loss
    }

    /// The loss and gradients of some sources. Partial sums are kept for each chunk: gradients of the negatives' rows,
    /// of their biases, the loss, and the gradient of the temperature.
    private func chunk(
        _ batch: PairBatch, _ range: Range<Int>, partial: UnsafeMutablePointer<Float>,
        existence: UnsafeMutablePointer<Float>, direction: UnsafeMutablePointer<Float>
    ) {
        let width = scorer.source.columns
        let count = drawn.count
        let size = min(Self.sourcesPerBlock, range.count)
        let sources = Matrix(rows: size, columns: width)
        let logits = Matrix(rows: size, columns: count)
        let gradients = Matrix(rows: size, columns: width)
        let biasSum = partial + count * width
        let lossSum = biasSum + count
        for begin in stride(from: range.lowerBound, to: range.upperBound, by: size) {
            let block = begin..<min(begin + size, range.upperBound)
            for (row, index) in block.enumerated() {
                sources[row: row].update(from: scorer.source[row: Int(batch.sources[index])], count: width)
            }
            gemm(
                transposeB: true, rows: block.count, columns: count, inner: width, alpha: temperature,
                sources.elements, lda: width, drawn.targets.elements, ldb: width, logits.elements, ldc: count)
            for (row, index) in block.enumerated() {
                softmax(
                    batch, index, logits: logits[row: row], existence: existence, direction: direction, sums: lossSum)
                Rows.add(1, logits[row: row], to: biasSum, count)
            }
            gemm(
                rows: block.count, columns: width, inner: count, alpha: temperature, logits.elements, lda: count,
                drawn.targets.elements, ldb: width, gradients.elements, ldc: width)
            gemm(
                transposeA: true, rows: count, columns: width, inner: block.count, alpha: temperature,
                logits.elements, lda: count, sources.elements, ldb: width, beta: 1, partial, ldc: width)
            for (row, index) in block.enumerated() {
                // The score is linear in the logarithm of the temperature and in the source row alike.
                lossSum[1] += Rows.dot(sources[row: row], gradients[row: row], width)
                Rows.add(1, gradients[row: row], to: scorer.sourceGradient[row: Int(batch.sources[index])], width)
            }
        }
    }

    /// Adds the loss of one source's pairs to the first sum, and their part of the temperature's gradient to the second.
    /// The row of inner products with the negatives becomes the gradient of their scores; the slopes of the pairs go
    /// where their numbers say.
    private func softmax(
        _ batch: PairBatch, _ index: Int, logits: UnsafeMutablePointer<Float>,
        existence: UnsafeMutablePointer<Float>, direction: UnsafeMutablePointer<Float>,
        sums: UnsafeMutablePointer<Float>
    ) {
        let count = drawn.count
        let source = Int(batch.sources[index])
        let pairs = batch.offsets[index]..<batch.offsets[index + 1]
        Rows.add(1, drawn.corrections, to: logits, count)
        exclude(source, from: logits)
        var maximum = Rows.maximum(logits, count, atLeast: DrawnNegatives.excluded)
        for pair in pairs {
            existence[pair] = scorer.score(source, Int(batch.targets[pair]), temperature: temperature)
            maximum = max(maximum, existence[pair])
        }
        let sum = Rows.exponentials(logits, count, less: maximum)
        var negativeScale: Float = 0
        for pair in pairs {
            let weight = batch.weights[pair] * perWeight
            let score = existence[pair]
            let denominator = exp(score - maximum) + sum
            sums[0] += weight * (log(denominator) - (score - maximum))
            negativeScale += weight / denominator
            existence[pair] = -weight * sum / denominator
            sums[1] += existence[pair] * (score - scorer.bias.value[Int(batch.targets[pair]), 0])
            addDirection(batch, pair, source: source, score: score, slope: direction, sums: sums)
        }
        for place in 0..<count { logits[place] *= negativeScale }
    }

    private func exclude(_ source: Int, from logits: UnsafeMutablePointer<Float>) {
        for entry in known.offsets[source]..<known.offsets[source + 1] {
            drawn.exclude(Int(known.indices[entry]), from: logits)
        }
        drawn.exclude(source, from: logits)
    }

    private func addDirection(
        _ batch: PairBatch, _ pair: Int, source: Int, score: Float, slope: UnsafeMutablePointer<Float>,
        sums: UnsafeMutablePointer<Float>
    ) {
        let weight = batch.directionWeights[pair] * perWeight
        guard weight > 0 else {
            slope[pair] = 0
            return
        }
        let target = Int(batch.targets[pair])
        let lead = score - scorer.score(target, source, temperature: temperature)
        slope[pair] = -weight / (1 + exp(lead))
        sums[0] += weight * (max(-lead, 0) + log1p(exp(-abs(lead))))
        sums[1] += slope[pair] * (lead - scorer.bias.value[target, 0] + scorer.bias.value[source, 0])
    }

    /// Adds the chunks' partial sums in order to the gradients of the negatives and the temperature; returns the loss.
    private func reduce(_ partials: Matrix) -> Float {
        let width = scorer.source.columns
        let count = drawn.count
        let sum = Matrix(rows: 1, columns: partials.columns)
        parallelFor(count: partials.columns, grain: 4096) { range in
            for chunk in 0..<partials.rows {
                Rows.add(1, partials[row: chunk] + range.lowerBound, to: sum.elements + range.lowerBound, range.count)
            }
        }
        for (place, row) in drawn.rows.enumerated() {
            Rows.add(1, sum.elements + place * width, to: scorer.targetGradient[row: Int(row)], width)
            scorer.bias.gradient[Int(row), 0] += sum.elements[count * width + place]
        }
        scorer.logTemperature.gradient[0, 0] += sum.elements[count * (width + 1) + 1]
        return sum.elements[count * (width + 1)]
    }

    /// Adds the gradients of the pairs themselves and of their reverses.
    private func addPairGradients(_ batch: PairBatch, _ slopes: PairSlopes) {
        var offsets = [Int](repeating: 0, count: scorer.source.rows + 1)
        for (index, source) in batch.sources.enumerated() {
            offsets[Int(source) + 1] = batch.offsets[index + 1] - batch.offsets[index]
            for pair in batch.offsets[index]..<batch.offsets[index + 1] {
                scorer.bias.gradient[Int(batch.targets[pair]), 0] += slopes.existence[pair] + slopes.direction[pair]
                scorer.bias.gradient[Int(source), 0] -= slopes.direction[pair]
            }
        }
        for row in 0..<scorer.source.rows { offsets[row + 1] += offsets[row] }
        let forward = SparseMatrix(
            columns: scorer.source.rows, offsets: offsets, indices: batch.targets,
            values: zip(slopes.existence, slopes.direction).map { $0 + $1 })
        forward.multiply(scorer.target, scale: temperature, adding: true, into: scorer.sourceGradient)
        forward.transposed().multiply(scorer.source, scale: temperature, adding: true, into: scorer.targetGradient)
        guard slopes.direction.contains(where: { $0 != 0 }) else { return }
        var reverse = forward
        reverse.values = slopes.direction
        reverse.multiply(scorer.source, scale: -temperature, adding: true, into: scorer.targetGradient)
        reverse.transposed().multiply(scorer.target, scale: -temperature, adding: true, into: scorer.sourceGradient)
    }
}

/// The negatives' rows, in the order of the graph, and what their scores are corrected by.
private struct DrawnNegatives {
    let rows: [UInt32]
    let targets: Matrix
    let corrections: [Float]
    /// By row of the graph, its first place among the negatives; `UInt32.max` where it is none of them.
    private let places: [UInt32]

    /// Far below any score, yet finite, so that no difference is undefined.
    static let excluded: Float = -1e30

    var count: Int { rows.count }

    init(_ negatives: SharedNegatives, scorer: PairScorer) {
        let order = negatives.rows.indices.sorted { (negatives.rows[$0], $0) < (negatives.rows[$1], $1) }
        rows = order.map { negatives.rows[$0] }
        let width = scorer.target.columns
        targets = Matrix(rows: rows.count, columns: width)
        var places = [UInt32](repeating: .max, count: scorer.target.rows)
        for (place, row) in rows.enumerated().reversed() {
            targets[row: place].update(from: scorer.target[row: Int(row)], count: width)
            places[Int(row)] = UInt32(place)
        }
        self.places = places
        corrections = order.map { scorer.bias.value[Int(negatives.rows[$0]), 0] - negatives.logExpectedCounts[$0] }
    }

    /// Takes a row of the graph out of the competition.
    func exclude(_ row: Int, from logits: UnsafeMutablePointer<Float>) {
        var place = Int(places[row])
        while place < rows.count, rows[place] == row {
            logits[place] = Self.excluded
            place += 1
        }
    }
}

/// The derivative of the loss by the score of each pair: of its softmax, and of its lead over the reverse.
private struct PairSlopes {
    var existence: [Float]
    var direction: [Float]

    init(count: Int) {
        existence = [Float](repeating: 0, count: count)
        direction = existence
    }

    mutating func withPointers(_ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void) {
        existence.withUnsafeMutableBufferPointer { existence in
            direction.withUnsafeMutableBufferPointer { direction in
                guard let first = existence.baseAddress, let second = direction.baseAddress else { return }
                body(first, second)
            }
        }
    }
}
