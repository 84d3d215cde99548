/// The memory that one thread's queries work in, and their answer.
///
/// Say what belongs to a query with ``exclude(_:)`` and ``addToCart(_:)``, ask the table, read ``results``, and call
/// ``reset()`` before the next. A warm scratch allocates nothing.
public final class RelatedScratch {
    // One thread works here at a time, and no access overlaps another: run-time checks would cost a third of a look-up.
    @exclusivity(unchecked) var excluded = RowSet()
    @exclusivity(unchecked) var cart = RowSet()
    @exclusivity(unchecked) var choice = CategoryChoice()
    /// What the answer was found with, and how many of its rows come from a list.
    @exclusivity(unchecked) var asked = Asked.nothing
    @exclusivity(unchecked) var listedCount = 0
    @exclusivity(unchecked) private var entries = UnsafeMutableBufferPointer<ScoredRow>(start: nil, count: 0)
    @exclusivity(unchecked) private var vectorStorage = UnsafeMutableBufferPointer<Float>(start: nil, count: 0)
    @exclusivity(unchecked) private var resultCount = 0
    /// What searches by codes need beside.
    let search = SearchScratch()
    /// Scores of one block of a scan, and which of them pass.
    let scores = UnsafeMutablePointer<Float>.allocate(capacity: Scan.blockRows)
    let hits = UnsafeMutablePointer<UInt32>.allocate(capacity: Scan.blockRows)

    /// Makes a scratch that knows nothing and owns little memory.
    public init() {}

    deinit {
        excluded.destroy()
        cart.destroy()
        choice.destroy()
        entries.deallocate()
        vectorStorage.deallocate()
        scores.deallocate()
        hits.deallocate()
    }

    /// Forgets everything about the last query.
    public func reset() {
        excluded.removeAll()
        cart.removeAll()
        choice.reset()
        asked = .nothing
        listedCount = 0
        resultCount = 0
    }

    /// Keeps a row out of the next answer.
    public func exclude(_ row: UInt32) {
        excluded.insert(row)
    }

    /// Adds a row to the cart; a row counts once.
    public func addToCart(_ row: UInt32) {
        cart.insert(row)
    }

    /// The products in the cart.
    public var cartCount: Int { cart.count }

    /// The last answer, best first; valid until the next query.
    public var results: UnsafeBufferPointer<ScoredRow> {
        UnsafeBufferPointer(rebasing: UnsafeBufferPointer(entries)[..<resultCount])
    }

    /// Room for an answer of `limit` rows.
    func room(for limit: Int) -> UnsafeMutablePointer<ScoredRow> {
        entries.grow(to: max(1, limit), filling: ScoredRow(row: 0, score: 0))
        return entries.baseAddress!
    }

    /// Room for the source vector of a new product, valid until the next query is reset.
    public func newProductVector(dimension: Int) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: vector(.newProduct, dimension: dimension), count: dimension)
    }

    /// Room for the vectors of a cart and what is searched with; sizes for one table only between two calls of
    /// ``reset()``.
    func vector(_ place: VectorPlace, dimension: Int) -> UnsafeMutablePointer<Float> {
        vectorStorage.grow(to: VectorPlace.count * dimension, filling: 0)
        return vectorStorage.baseAddress! + place.rawValue * dimension
    }

    /// The vectors that a query may need room for.
    enum VectorPlace: Int {
        /// The mean of a cart's source vectors.
        case cartSource
        /// The mean of a cart's target vectors.
        case cartTarget
        /// The coordinates that similar products are compared by.
        case similar
        case newProduct

        static let count = 4
    }

    /// What an answer was found with.
    enum Asked {
        case nothing
        case product(UInt32)
        /// The means of the source and the target vectors of its products; the latter only where it is explained.
        case cart(UnsafePointer<Float>, UnsafePointer<Float>?)
        /// A source vector; it is the caller's.
        case vector(UnsafePointer<Float>)
    }

    /// Says that the first `count` rows of the room are the answer.
    func finish(count: Int) {
        resultCount = count
    }
}
