internal import CKernels

// MARK: - What an answer may hold

extension RelatedTable {
    /// Whether the table knows categories of products.
    public var hasCategories: Bool { categories != nil }

    /// The category of a name; nil where the table knows none of that name.
    public func category(named name: UnsafeRawBufferPointer) -> UInt32? { categories?.category(named: name) }

    /// The name of a row's category, in the mapped file; nil where it has none.
    public func categoryName(of row: UInt32) -> UnsafeRawBufferPointer? {
        precondition(row < count, "row \(row) is beyond the table")
        guard let categories else { return nil }
        let category = categories.ofRows[Int(row)]
        return category == Categories.none ? nil : categories.name(of: category)
    }

    /// Lets the next answer hold rows of such categories only as ``allow(_:_:)`` names from now on.
    public func allowOnly(_ scratch: RelatedScratch) {
        if let categories { scratch.choice.start(categories, opensOnly: true) }
    }

    /// Lets the next answer hold rows of a category, after ``allowOnly(_:)``.
    public func allow(_ category: UInt32, _ scratch: RelatedScratch) {
        if let categories { scratch.choice.open(category, of: categories) }
    }

    /// Keeps the rows of a category out of the next answer, also where it was allowed before.
    public func deny(_ category: UInt32, _ scratch: RelatedScratch) {
        if let categories { scratch.choice.close(category, of: categories) }
    }

    private func filter(_ scratch: RelatedScratch) -> RowFilter {
        guard scratch.choice.isActive, let categories else { return RowFilter(excluded: scratch.excluded) }
        return RowFilter(excluded: scratch.excluded, scratch.choice, of: categories)
    }
}

// MARK: - Queries

// Each finds the best rows that the filters of `scratch` admit, at most `query.limit`, and leaves them in
// `RelatedScratch.results`: fewer only where the table has no more. nil, and no answer, where that would take more than
// `query.work`.

extension RelatedTable {
    /// How much one row leads to another: the inner product of its source vector and the other's target vector.
    public func score(from row: UInt32, to other: UInt32) -> Float {
        precondition(row < count && other < count, "a row is beyond the table")
        return targets.scan.score(sourceVector(row), other)
    }

    /// The best rows for one product, without itself. Its list answers where it has what is asked for and reaches far
    /// enough; a search goes on where it ends.
    public func find(product row: UInt32, _ query: RelatedQuery, _ scratch: RelatedScratch) -> Path? {
        precondition(row < count, "row \(row) is beyond the table")
        scratch.asked = .product(row)
        if query.relation == .related, query.ranker == nil || query.ranker == ranker {
            if takeListed(of: row, query, scratch) {
                giveBack(query, scratch)
                return .list
            }
        }
        scratch.exclude(row)
        return search(sourceVector(row), query, scratch)
    }

    /// The best rows for a cart, ranked by the mean of the source vectors of the rows that were added to `scratch`, at
    /// least one; they are left out. A cart of one product is asked like that product.
    public func findCart(_ query: RelatedQuery, explains: Bool = false, _ scratch: RelatedScratch) -> Path? {
        let cart = scratch.cart.members
        precondition(!cart.isEmpty, "the cart is empty")
        if cart.count == 1 { return find(product: cart[0], query, scratch) }
        for row in cart {
            precondition(row < count, "row \(row) is beyond the table")
            scratch.exclude(row)
        }
        let mean = scratch.vector(.cartSource, dimension: dimension)
        average(cart, of: sources, into: mean)
        var targetMean: UnsafePointer<Float>?
        if explains {
            let room = scratch.vector(.cartTarget, dimension: dimension)
            average(cart, of: targets, into: room)
            targetMean = UnsafePointer(room)
        }
        scratch.asked = .cart(mean, targetMean)
        return search(mean, query, scratch)
    }

    /// The best rows for a source vector of ``dimension`` coordinates, which must stay as it is while the answer is
    /// explained.
    public func find(
        vector: UnsafeBufferPointer<Float>, _ query: RelatedQuery, _ scratch: RelatedScratch
    ) throws(VectorError) -> Path? {
        guard vector.count == dimension else { throw .wrongDimension(expected: dimension) }
        guard vector.allSatisfy({ $0.isFinite }) else { throw .notFinite }
        let start = vector.baseAddress!
        guard kernels_dot(start, start, dimension) <= VectorLimit.norm * VectorLimit.norm else { throw .tooLong }
        scratch.asked = .vector(start)
        return search(start, query, scratch)
    }

    /// Why the row at a place of the last answer is there.
    public func explanation(at place: Int, _ scratch: RelatedScratch) -> RelatedExplanation {
        let result = scratch.results[place]
        var explanation = RelatedExplanation(ranker: .innerProduct, forward: 0, reverse: nil, path: 0)
        switch scratch.asked {
        case .nothing: break
        case .product(let row):
            explanation.forward = score(from: row, to: result.row)
            explanation.reverse = score(from: result.row, to: row)
        case .cart(let source, let target):
            explanation.forward = targets.scan.score(source, result.row)
            explanation.reverse = target.map { sources.scan.score($0, result.row) }
        case .vector(let source): explanation.forward = targets.scan.score(source, result.row)
        }
        if ranker == .hybrid, place < scratch.listedCount {
            explanation.ranker = .hybrid
            explanation.path = result.score - explanation.forward
        }
        return explanation
    }

    private func sourceVector(_ row: UInt32) -> UnsafePointer<Float> { sourceVector(of: row).baseAddress! }

    private func average(
        _ cart: UnsafeBufferPointer<UInt32>, of matrix: VectorIndex, into mean: UnsafeMutablePointer<Float>
    ) {
        for coordinate in 0..<dimension {
            var sum = 0.0
            for row in cart { sum += Double(matrix.scan.rows[Int(row) * dimension + coordinate]) }
            mean[coordinate] = Float(sum / Double(cart.count))
        }
    }
}

// MARK: - Lists

extension RelatedTable {
    /// Takes what a row's list offers; false where the table may have more that the answer needs.
    private func takeListed(of row: UInt32, _ query: RelatedQuery, _ scratch: RelatedScratch) -> Bool {
        // No answer is longer than the table, whatever was asked for.
        let limit = min(query.limit, count)
        let entries = scratch.room(for: limit)
        let rows = listRows + Int(row) * listLength
        let scores = listScores + Int(row) * listLength
        let filter = filter(scratch)
        let isCapped = isCapped(query)
        var (listed, found) = (0, 0)
        while listed < listLength, found < limit, rows[listed] != Self.noRow {
            if filter.admits(rows[listed]), !isCapped || takes(rows[listed], query, scratch) {
                entries[found] = ScoredRow(row: rows[listed], score: scores[listed])
                found += 1
            }
            listed += 1
        }
        scratch.listedCount = found
        scratch.finish(count: found)
        return found == limit || listed == count - 1
    }
}

// MARK: - Searches

extension RelatedTable {
    /// How much more an inner product in double precision of a row found anywhere costs than one of a plain scan.
    private static let scatteredCost = 4
    /// In how many rounds an answer with a cap for each category is found, most of the time.
    private static let usualRounds = 4

    /// Goes on after what was taken of a list, if any: nothing that a list leaves out is better than its end.
    private func search(
        _ asked: UnsafePointer<Float>, _ query: RelatedQuery, _ scratch: RelatedScratch
    ) -> Path? {
        defer { giveBack(query, scratch) }
        let limit = min(query.limit, count)
        var found = scratch.results.count
        guard found < limit else { return .scan }
        for result in scratch.results { scratch.exclude(result.row) }
        let isSimilar = query.relation == .similar
        let search = Search(
            vector: isSimilar ? similarVector(asked, scratch) : asked, index: isSimilar ? sources : targets,
            exact: query.exact, work: isCapped(query) ? query.work / Self.usualRounds : query.work)
        guard isCapped(query) else {
            guard let (path, offered) = best(search, limit - found, after: found, scratch) else { return nil }
            scratch.finish(count: found + offered)
            return path
        }
        // Categories that are full take no part in what follows, so few rounds are needed.
        var wanted = limit - found
        var isApproximate = false
        while true {
            closeFull(query, scratch)
            guard let (path, offered) = best(search, wanted, after: found, scratch) else { return nil }
            isApproximate = isApproximate || path == .invertedLists
            found = keep(offered, after: found, query, scratch)
            if found == limit || offered < wanted {
                guard isApproximate else { return path }
                // A later round may find what an earlier one missed.
                sortResults(from: scratch.listedCount, scratch)
                return .invertedLists
            }
            wanted = min(4 * wanted, count)
        }
    }

    /// What is searched for, and where.
    private struct Search {
        let vector: UnsafePointer<Float>
        let index: VectorIndex
        let exact: Bool
        /// The most that a round of it may read, in coordinates of a plain scan.
        let work: Int
    }

    private func membersWork(_ scratch: RelatedScratch) -> Int {
        scratch.choice.admitted * dimension * Self.scatteredCost
    }

    /// Whether scoring each row that is let in by itself takes no longer than to search among all.
    private func scansMembers(_ search: Search, _ limit: Int, _ scratch: RelatedScratch) -> Bool {
        scratch.choice.isActive && scratch.choice.opensOnly
            && membersWork(scratch) <= search.index.work(limit: limit, filter(scratch), exact: search.exact)
    }

    /// Writes the best admitted rows behind the first `found` entries; returns how many there are, nil where that would
    /// take more than the search may.
    private func best(_ search: Search, _ limit: Int, after found: Int, _ scratch: RelatedScratch) -> (Path, Int)? {
        var top = TopRows(scratch.room(for: found + limit) + found, limit: limit)
        var path: Path? = .scan
        if scansMembers(search, limit, scratch) {
            guard membersWork(scratch) <= search.work else { return nil }
            offerMembers(search, into: &top, scratch)
        } else {
            path = search.index.search(
                search.vector, into: &top, filter: filter(scratch), exact: search.exact, work: search.work, scratch)
        }
        guard let path else { return nil }
        top.sort()
        return (path, top.count)
    }

    /// Puts the results from a place on in order, best first.
    private func sortResults(from start: Int, _ scratch: RelatedScratch) {
        let count = scratch.results.count - start
        guard count > 0 else { return }
        let entries = scratch.room(for: scratch.results.count) + start
        // Each entry is read before its place in the heap is written.
        var top = TopRows(entries, limit: count)
        for index in 0..<count { top.offer(entries[index]) }
        top.sort()
    }

    private func offerMembers(_ search: Search, into top: inout TopRows, _ scratch: RelatedScratch) {
        guard let categories else { return }
        for category in scratch.choice.opened.members where scratch.choice.isOpen(category) {
            for row in categories.rows(of: category) where !scratch.excluded.contains(row) {
                top.offer(ScoredRow(row: row, score: search.index.scan.score(search.vector, row)))
            }
        }
    }

    /// The coordinates that similar products are compared by, and zeros: what is multiplied by them counts nothing.
    private func similarVector(
        _ asked: UnsafePointer<Float>, _ scratch: RelatedScratch
    ) -> UnsafePointer<Float> {
        guard similarDimension < dimension else { return asked }
        let vector = scratch.vector(.similar, dimension: dimension)
        vector.update(from: asked, count: similarDimension)
        (vector + similarDimension).update(repeating: 0, count: dimension - similarDimension)
        return UnsafePointer(vector)
    }
}

// MARK: - A cap for each category

extension RelatedTable {
    private func isCapped(_ query: RelatedQuery) -> Bool {
        query.maxPerCategory > 0 && query.maxPerCategory < query.limit && categories != nil
    }

    /// Counts a row; false where the answer has as many of its category as it may.
    private func takes(_ row: UInt32, _ query: RelatedQuery, _ scratch: RelatedScratch) -> Bool {
        guard let categories else { return true }
        let category = categories.ofRows[Int(row)]
        return category == Categories.none
            || scratch.choice.take(category, limit: query.maxPerCategory, of: categories)
    }

    /// Keeps those of `offered` rows behind the first `found` that the answer may hold; returns how many it has then.
    private func keep(_ offered: Int, after found: Int, _ query: RelatedQuery, _ scratch: RelatedScratch) -> Int {
        let entries = scratch.room(for: found + offered)
        var kept = found
        for index in found..<found + offered where kept < query.limit && takes(entries[index].row, query, scratch) {
            entries[kept] = entries[index]
            scratch.exclude(entries[kept].row)
            kept += 1
        }
        scratch.finish(count: kept)
        return kept
    }

    /// Lets no further row of categories in that the answer has as many of as it may.
    private func closeFull(_ query: RelatedQuery, _ scratch: RelatedScratch) {
        guard let categories else { return }
        for result in scratch.results {
            let category = categories.ofRows[Int(result.row)]
            if category != Categories.none, scratch.choice.taken(category) == query.maxPerCategory {
                scratch.choice.close(category, of: categories)
            }
        }
    }

    /// Forgets how many rows of each category the answer has.
    private func giveBack(_ query: RelatedQuery, _ scratch: RelatedScratch) {
        guard isCapped(query), let categories else { return }
        for result in scratch.results { scratch.choice.giveBack(categories.ofRows[Int(result.row)]) }
    }
}

// MARK: - Plain questions

extension RelatedTable {
    /// The best products related to one product; see ``find(product:_:_:)``.
    public func related(to row: UInt32, limit: Int, _ scratch: RelatedScratch) -> Path {
        find(product: row, RelatedQuery(limit: limit), scratch)!
    }

    /// The best products related to a cart; see ``findCart(_:explains:_:)``.
    public func relatedToCart(limit: Int, _ scratch: RelatedScratch) -> Path {
        findCart(RelatedQuery(limit: limit), scratch)!
    }

    /// The best products related to a source vector; see ``find(vector:_:_:)``.
    public func related(
        toVector vector: UnsafeBufferPointer<Float>, limit: Int, _ scratch: RelatedScratch
    ) throws(VectorError) -> Path {
        try find(vector: vector, RelatedQuery(limit: limit), scratch)!
    }
}
