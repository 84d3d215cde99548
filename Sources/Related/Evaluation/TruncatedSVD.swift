internal import Learning
internal import LinearAlgebra

/// The leading part of the singular value decomposition of a sparse square matrix, `A ~ source * target^T`, by subspace
/// iteration (Halko, Martinsson and Tropp 2011) and the Rayleigh-Ritz step.
struct TruncatedSVD {
    /// Left singular vectors times singular values (rows x rank).
    let source: Matrix
    /// Right singular vectors (columns x rank).
    let target: Matrix

    /// Directions carried beside the wanted ones, so that the last of those converge.
    private static let oversampling = 8
    private static let iterations = 8

    init(_ matrix: SparseMatrix, rank: Int, seed: UInt64) {
        let rank = min(rank, matrix.columns)
        let width = min(rank + Self.oversampling, matrix.columns)
        let transposed = matrix.transposed()
        var generator = SeededGenerator(seed: seed)
        let basis = Matrix(rows: matrix.columns, columns: width)
        for index in 0..<basis.count { basis.elements[index] = generator.normal() }
        let image = Matrix(rows: matrix.rows, columns: width)
        for _ in 0..<Self.iterations {
            Self.orthonormalize(basis)
            matrix.multiply(basis, into: image)
            transposed.multiply(image, into: basis)
        }
        Self.orthonormalize(basis)
        matrix.multiply(basis, into: image)
        let gram = Matrix(rows: width, columns: width)
        multiply(image, transposeA: true, image, into: gram)
        let rotation = Self.leadingEigenvectors(gram, count: rank)
        source = Matrix(rows: matrix.rows, columns: rank)
        target = Matrix(rows: matrix.columns, columns: rank)
        multiply(image, rotation, into: source)
        multiply(basis, rotation, into: target)
    }

    /// Modified Gram-Schmidt, twice, on the columns; a column that depends on those before becomes zero.
    private static func orthonormalize(_ matrix: Matrix) {
        let columns = Matrix(rows: matrix.columns, columns: matrix.rows)
        transpose(matrix, into: columns)
        for _ in 0..<2 {
            for index in 0..<columns.rows {
                let column = columns[row: index]
                for other in 0..<index {
                    let product = dot(columns[row: other], column, columns.columns)
                    for row in 0..<columns.columns { column[row] -= product * columns[row: other][row] }
                }
                let length = dot(column, column, columns.columns).squareRoot()
                let scale = length > 1e-6 ? 1 / length : 0
                for row in 0..<columns.columns { column[row] *= scale }
            }
        }
        transpose(columns, into: matrix)
    }

    private static func transpose(_ matrix: Matrix, into result: Matrix) {
        for row in 0..<matrix.rows {
            for column in 0..<matrix.columns { result[column, row] = matrix[row, column] }
        }
    }

    private static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        let result = Matrix(rows: 1, columns: 1)
        gemm(transposeB: true, rows: 1, columns: 1, inner: count, a, lda: count, b, ldb: count, result.elements, ldc: 1)
        return result[0, 0]
    }

    /// The eigenvectors of the largest eigenvalues of a symmetric matrix, as columns, by cyclic Jacobi rotations.
    private static func leadingEigenvectors(_ symmetric: Matrix, count: Int) -> Matrix {
        let size = symmetric.rows
        var a = (0..<symmetric.count).map { Double(symmetric.elements[$0]) }
        var vectors = [Double](repeating: 0, count: size * size)
        for index in 0..<size { vectors[index * size + index] = 1 }
        let scale = (0..<size).reduce(0.0) { max($0, abs(a[$1 * size + $1])) }
        for _ in 0..<30 {
            var largest = 0.0
            for p in 0..<size {
                for q in p + 1..<max(size, p + 1) where abs(a[p * size + q]) > 1e-12 * scale {
                    largest = max(largest, abs(a[p * size + q]))
                    rotate(&a, &vectors, p, q, size)
                }
            }
            if largest <= 1e-9 * scale { break }
        }
        let order = (0..<size).sorted { (a[$0 * size + $0], $1) > (a[$1 * size + $1], $0) }
        let result = Matrix(rows: size, columns: count)
        for (column, index) in order.prefix(count).enumerated() {
            for row in 0..<size { result[row, column] = Float(vectors[row * size + index]) }
        }
        return result
    }

    /// One Jacobi rotation, which makes `a[p, q]` zero.
    private static func rotate(_ a: inout [Double], _ vectors: inout [Double], _ p: Int, _ q: Int, _ size: Int) {
        let theta = (a[q * size + q] - a[p * size + p]) / (2 * a[p * size + q])
        let tangent = (theta < 0 ? -1 : 1) / (abs(theta) + (theta * theta + 1).squareRoot())
        let cosine = 1 / (tangent * tangent + 1).squareRoot()
        let sine = tangent * cosine
        for k in 0..<size {
            let (x, y) = (a[k * size + p], a[k * size + q])
            a[k * size + p] = cosine * x - sine * y
            a[k * size + q] = sine * x + cosine * y
        }
        for k in 0..<size {
            let (x, y) = (a[p * size + k], a[q * size + k])
            a[p * size + k] = cosine * x - sine * y
            a[q * size + k] = sine * x + cosine * y
            let (v, w) = (vectors[k * size + p], vectors[k * size + q])
            vectors[k * size + p] = cosine * v - sine * w
            vectors[k * size + q] = sine * v + cosine * w
        }
    }
}
