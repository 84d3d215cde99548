/// A dense row-major matrix of `Float`, its storage aligned to 64 bytes and zero when made.
///
/// A reference: copies of the variable share the elements. Threads may work on one matrix at once as long as
/// none writes an element that another reads or writes, as the chunks of ``parallelFor(count:grain:_:)`` do when
/// each keeps to its own rows.
public final class Matrix: @unchecked Sendable {
    /// The number of rows.
    public let rows: Int
    /// The number of columns, which is also the distance between the starts of two rows.
    public let columns: Int
    /// The elements, row after row; valid as long as the matrix lives.
    public let elements: UnsafeMutablePointer<Float>

    /// The number of elements.
    @inlinable public var count: Int { rows * columns }

    /// Makes a matrix of zeros.
    public init(rows: Int, columns: Int) {
        precondition(rows >= 0 && columns >= 0, "a matrix cannot have a negative size")
        self.rows = rows
        self.columns = columns
        let byteCount = max(1, rows * columns) * MemoryLayout<Float>.stride
        let raw = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        elements = raw.bindMemory(to: Float.self, capacity: max(1, rows * columns))
        elements.initialize(repeating: 0, count: rows * columns)
    }

    /// Makes a matrix of the given rows, which must be of one length.
    public convenience init(_ rows: [[Float]]) {
        let columns = rows.first?.count ?? 0
        precondition(rows.allSatisfy { $0.count == columns }, "the rows of a matrix must be of one length")
        self.init(rows: rows.count, columns: columns)
        for (index, row) in rows.enumerated() {
            self[row: index].update(from: row, count: columns)
        }
    }

    deinit {
        UnsafeMutableRawPointer(elements).deallocate()
    }

    /// The first element of a row; `columns` elements follow from there.
    @inlinable public subscript(row row: Int) -> UnsafeMutablePointer<Float> {
        elements + row * columns
    }

    /// One element; neither index is checked in release builds.
    @inlinable public subscript(row: Int, column: Int) -> Float {
        get {
            assert(row >= 0 && row < rows && column >= 0 && column < columns)
            return elements[row * columns + column]
        }
        set {
            assert(row >= 0 && row < rows && column >= 0 && column < columns)
            elements[row * columns + column] = newValue
        }
    }

    /// A matrix of its own with the same elements.
    public func copy() -> Matrix {
        let result = Matrix(rows: rows, columns: columns)
        result.elements.update(from: elements, count: count)
        return result
    }

    /// Takes over the elements of a matrix of the same shape.
    public func update(from other: Matrix) {
        precondition(rows == other.rows && columns == other.columns, "matrices of different shapes")
        elements.update(from: other.elements, count: count)
    }

    /// Sets every element.
    public func fill(_ value: Float) {
        elements.update(repeating: value, count: count)
    }
}
