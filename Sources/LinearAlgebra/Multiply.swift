internal import CBLAS

/// Prepares OpenBLAS, once: it must not start threads itself, for parallelism is ours, with fixed blocks.
///
/// Its build without threads hands the same work buffer to two callers that come at once (seen with Debian's
/// libopenblas0-serial 0.3.21: wrong products), so only a build that knows threads will do.
private let preparedBLAS: Void = {
    guard openblas_get_parallel() != 0 else {
        fatalError("this OpenBLAS is built without threads and is wrong under ours: install libopenblas-pthread-dev")
    }
    openblas_set_num_threads(1)
}()

/// `C = alpha * op(A) * op(B) + beta * C` on this thread, row-major, on raw memory (BLAS `sgemm`).
///
/// `op(A)` has `rows` x `inner`, `op(B)` `inner` x `columns` and C `rows` x `columns` elements. A leading dimension
/// (`lda`, `ldb`, `ldc`) is the distance in elements between the starts of two stored rows. C must not overlap A or B;
/// where `beta` is 0, C is written without being read.
public func gemm(
    transposeA: Bool = false, transposeB: Bool = false, rows: Int, columns: Int, inner: Int,
    alpha: Float = 1, _ a: UnsafePointer<Float>, lda: Int, _ b: UnsafePointer<Float>, ldb: Int,
    beta: Float = 0, _ c: UnsafeMutablePointer<Float>, ldc: Int
) {
    guard rows > 0, columns > 0 else { return }
    _ = preparedBLAS
    cblas_sgemm(
        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, blasint(rows),
        blasint(columns), blasint(inner), alpha,
        a, blasint(lda), b, blasint(ldb), beta, c, blasint(ldc))
}

/// `C = alpha * op(A) * op(B) + beta * C` on all cores; the same bytes on any number of them.
///
/// C is cut into fixed blocks of rows. Where C is small and the inner dimension long, as in a gradient `A^T * B`
/// summed over a batch, the inner dimension is cut into fixed blocks instead, whose products are added in order.
public func multiply(
    _ a: Matrix, transposeA: Bool = false, _ b: Matrix, transposeB: Bool = false,
    alpha: Float = 1, beta: Float = 0, into c: Matrix
) {
    let inner = transposeA ? a.rows : a.columns
    precondition((transposeA ? a.columns : a.rows) == c.rows, "op(A) and C differ in rows")
    precondition((transposeB ? b.rows : b.columns) == c.columns, "op(B) and C differ in columns")
    precondition((transposeB ? b.columns : b.rows) == inner, "op(A) and op(B) differ in the inner dimension")
    if c.rows <= Blocks.rows && inner >= 2 * Blocks.minimumInner {
        multiplyByInnerBlocks(
            a, transposeA: transposeA, b, transposeB: transposeB, alpha: alpha, beta: beta, inner: inner, into: c)
    } else {
        multiplyByRowBlocks(
            a, transposeA: transposeA, b, transposeB: transposeB, alpha: alpha, beta: beta, inner: inner, into: c)
    }
}

private enum Blocks {
    /// Rows of C for one call of BLAS: enough that it works from the cache, few enough to keep all cores busy.
    static let rows = 256
    /// The shortest sum worth a block of its own; below, adding the partial products costs more than it saves.
    static let minimumInner = 512
    /// Blocks of the inner dimension at most, which bounds the memory of the partial products.
    static let maximumInnerBlocks = 16
}

/// Where the block of `op(matrix)` that starts at `row`, `column` is stored.
private func block(_ matrix: Matrix, transpose: Bool, row: Int, column: Int) -> UnsafeMutablePointer<Float> {
    transpose ? matrix[row: column] + row : matrix[row: row] + column
}

private func multiplyByRowBlocks(
    _ a: Matrix, transposeA: Bool, _ b: Matrix, transposeB: Bool, alpha: Float, beta: Float, inner: Int,
    into c: Matrix
) {
    parallelFor(count: c.rows, grain: Blocks.rows) { rows in
        gemm(
            transposeA: transposeA, transposeB: transposeB, rows: rows.count, columns: c.columns, inner: inner,
            alpha: alpha, block(a, transpose: transposeA, row: rows.lowerBound, column: 0), lda: a.leadingDimension,
            b.elements, ldb: b.leadingDimension, beta: beta, c[row: rows.lowerBound], ldc: c.leadingDimension)
    }
}

private func multiplyByInnerBlocks(
    _ a: Matrix, transposeA: Bool, _ b: Matrix, transposeB: Bool, alpha: Float, beta: Float, inner: Int,
    into c: Matrix
) {
    let blocks = min(Blocks.maximumInnerBlocks, inner / Blocks.minimumInner)
    let grain = (inner + blocks - 1) / blocks
    let partials = Matrix(rows: (inner + grain - 1) / grain, columns: c.count)
    parallelFor(count: inner, grain: grain) { range in
        gemm(
            transposeA: transposeA, transposeB: transposeB, rows: c.rows, columns: c.columns, inner: range.count,
            alpha: alpha, block(a, transpose: transposeA, row: 0, column: range.lowerBound), lda: a.leadingDimension,
            block(b, transpose: transposeB, row: range.lowerBound, column: 0), ldb: b.leadingDimension,
            beta: 0, partials[row: range.lowerBound / grain], ldc: c.leadingDimension)
    }
    parallelFor(count: c.count, grain: 16_384) { range in
        for index in range {
            var sum: Float = beta == 0 ? 0 : beta * c.elements[index]
            for partial in 0..<partials.rows {
                sum += partials[row: partial][index]
            }
            c.elements[index] = sum
        }
    }
}

extension Matrix {
    /// BLAS asks for a leading dimension of at least 1, also of an empty matrix.
    fileprivate var leadingDimension: Int { max(1, columns) }
}
