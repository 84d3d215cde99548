/// What is asked of a table, whatever it is asked with.
public struct RelatedQuery: Sendable {
    /// What is looked for.
    public enum Relation: Sendable {
        /// What a product leads to: source vector times target vectors.
        case related
        /// What leads to the same: source vector times source vectors.
        case similar
    }

    /// What is looked for.
    public var relation = Relation.related
    /// The most rows of the answer.
    public var limit: Int
    /// What ranks the answer; nil: the best that the table has.
    public var ranker: RelatedTable.Ranker?
    /// Approximate ways must not be used.
    public var exact = false
    /// The most rows of one category; 0: any number. Rows without a category are not limited.
    public var maxPerCategory = 0
    /// How much of the table a search may read at once, in coordinates of a plain scan; what would read more finds nothing.
    public var work = Int.max

    /// Asks for the `limit` best related rows.
    public init(limit: Int) { self.limit = limit }
}

/// Why a row is in an answer.
public struct RelatedExplanation: Sendable, Equatable {
    /// What ranked it.
    public var ranker: RelatedTable.Ranker
    /// How much what was asked with leads to the row: source vector times target vector.
    public var forward: Float
    /// How much the row leads to what was asked with; nil for a vector.
    public var reverse: Float?
    /// What the hybrid ranker added to `forward`.
    public var path: Float
}
