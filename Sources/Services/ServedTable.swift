internal import FletchSchema
internal import FletchWire
internal import Retrieval
internal import Tables

/// A version of a table as it is served. Nothing in it changes: any thread may answer from it, in a scratch of its own.
final class ServedTable: @unchecked Sendable {
    let table: RelatedTable
    /// The bytes of the version, which answers refer to.
    let version: WireBytes
    private let versionBytes: UnsafeMutableRawBufferPointer

    init(_ table: RelatedTable) {
        self.table = table
        let text = Array(table.version.utf8)
        versionBytes = .allocate(byteCount: text.count, alignment: 1)
        versionBytes.copyBytes(from: text)
        version = WireBytes(UnsafeRawBufferPointer(versionBytes))
    }

    deinit { versionBytes.deallocate() }
}

// MARK: - Answers

extension ServedTable {
    /// Answers one request, which ``checkCounts(_:)`` let pass, in `scratch` and says how; nil, with nothing in the
    /// response, where that would read more of the table than `work`.
    func answer(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, _ scratch: RelatedScratch,
        work: Int = .max
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path? {
        var query = try query(of: request)
        query.work = work
        scratch.reset()
        try filter(request, scratch)
        guard let path = try find(request, query, scratch) else { return nil }
        writeItems(response, explains: request.explain, scratch)
        response.tableVersion = version
        response.path = path.inSchema
        return path
    }

    /// The scores of pairs of products, both ways.
    func score(
        _ request: ScoreEdgesRequest.View, _ response: ScoreEdgesResponse.Builder
    ) throws(RelatedProductsRefusal) {
        var scores = response.makeScores(capacity: request.edges.count)
        for index in 0..<request.edges.count {
            let edge = request.edges[index]
            let source = try row(of: edge.sourceProductID, "edges[\(index)].source_product_id")
            let target = try row(of: edge.targetProductID, "edges[\(index)].target_product_id")
            let score = scores.append()
            score.forward = table.score(from: source, to: target)
            score.reverse = table.score(from: target, to: source)
        }
        response.tableVersion = version
    }

    private func writeItems(_ response: RelatedResponse.Builder, explains: Bool, _ scratch: RelatedScratch) {
        let results = scratch.results
        var items = response.makeItems(capacity: results.count)
        for place in 0..<results.count {
            let item = items.append()
            item.productID = WireBytes(table.id(of: results[place].row))
            item.score = results[place].score
            if explains { explain(place, item.makeExplanation(), scratch) }
        }
    }

    private func explain(_ place: Int, _ explanation: Explanation.Builder, _ scratch: RelatedScratch) {
        let found = table.explanation(at: place, scratch)
        explanation.ranker = found.ranker == .hybrid ? .hybrid : .innerProduct
        explanation.forwardScore = found.forward
        explanation.reverseScore = found.reverse
        explanation.pathScore = found.path
        if let category = table.categoryName(of: scratch.results[place].row) {
            explanation.category = WireBytes(category)
        }
    }
}

extension RelatedTable.Path {
    fileprivate var inSchema: RetrievalPath {
        switch self {
        case .list: .list
        case .scan: .scan
        case .quantizedScan: .quantizedScan
        case .invertedLists: .invertedLists
        }
    }
}

// MARK: - What is asked

extension ServedTable {
    /// Refuses a request that brings or wants too much.
    func checkCounts(_ request: RelatedRequest.View) throws(RelatedProductsRefusal) {
        guard request.limit <= RelatedProductsHandler.maxLimit else {
            throw .wrongField("limit", "\(request.limit) is above the largest, \(RelatedProductsHandler.maxLimit)")
        }
        try check(request.productIds.count, "product_ids", RelatedProductsHandler.maxCart)
        try check(request.excludeProductIds.count, "exclude_product_ids", RelatedProductsHandler.maxExcluded)
        try check(request.boughtProductIds.count, "bought_product_ids", RelatedProductsHandler.maxExcluded)
        try check(request.allowCategories.count, "allow_categories", RelatedProductsHandler.maxCategories)
        try check(request.denyCategories.count, "deny_categories", RelatedProductsHandler.maxCategories)
        guard let product = request.newProduct else { return }
        let neighbours = RelatedProductsHandler.maxNeighbours
        try check(product.features.count, "new_product.features", RelatedProductsHandler.maxFeatures)
        try check(product.leadsToProductIds.count, "new_product.leads_to_product_ids", neighbours)
        try check(product.followsProductIds.count, "new_product.follows_product_ids", neighbours)
        guard product.features.count + product.leadsToProductIds.count + product.followsProductIds.count > 0 else {
            throw .wrongField(
                "new_product", "all of it is empty; set a feature, or a product that it leads to or follows")
        }
    }

    private func check(_ count: Int, _ field: StaticString, _ limit: Int) throws(RelatedProductsRefusal) {
        guard count <= limit else { throw .wrongField("\(field)", "\(count) entries; send at most \(limit)") }
    }

    private func query(of request: RelatedRequest.View) throws(RelatedProductsRefusal) -> RelatedQuery {
        var query = RelatedQuery(limit: RelatedProductsHandler.itemsWanted(by: request))
        query.exact = request.exact
        query.maxPerCategory = Int(request.maxPerCategory)
        switch request.relation {
        case .unspecified, .related: break
        case .similar: query.relation = .similar
        default: throw .unknownValue("relation", request.relation.rawValue, "RELATION_RELATED or RELATION_SIMILAR")
        }
        switch request.ranker {
        case .unspecified: break
        case .innerProduct: query.ranker = .innerProduct
        case .hybrid: query.ranker = .hybrid
        default: throw .unknownValue("ranker", request.ranker.rawValue, "RANKER_INNER_PRODUCT or RANKER_HYBRID")
        }
        return query
    }

    /// Checks that a list orders what is asked for by the hybrid ranker, where it must.
    private func checkRanker(_ query: RelatedQuery, isOneProduct: Bool) throws(RelatedProductsRefusal) {
        guard query.ranker == .hybrid else { return }
        guard isOneProduct, query.relation == .related else {
            throw .wrongField(
                "ranker", "RANKER_HYBRID ranks the products related to one product; ask so, or for another ranker")
        }
        guard table.ranker == .hybrid else {
            throw missing(
                "ranker", "RANKER_NOT_IN_TABLE", "has no lists of the hybrid ranker",
                "publish it with 'fletch publish --ranker hybrid', or ask for another ranker")
        }
    }

    private func find(
        _ request: RelatedRequest.View, _ query: RelatedQuery, _ scratch: RelatedScratch
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path? {
        let isProduct = !request.productID.isEmpty
        let isCart = !request.productIds.isEmpty
        let isVector = !request.sourceVector.isEmpty
        let isNew = request.newProduct != nil
        switch (isProduct, isCart, isVector, isNew) {
        case (true, false, false, false):
            try checkRanker(query, isOneProduct: true)
            return table.find(product: try row(of: request.productID, "product_id"), query, scratch)
        case (false, true, false, false):
            try addCart(request.productIds, scratch)
            try checkRanker(query, isOneProduct: scratch.cartCount == 1)
            return table.findCart(query, explains: request.explain, scratch)
        case (false, false, true, false):
            try checkRanker(query, isOneProduct: false)
            return try find(vector: request.sourceVector.buffer, "source_vector", query, scratch)
        case (false, false, false, true):
            try checkRanker(query, isOneProduct: false)
            return try find(newProduct: request.newProduct!, query, scratch)
        case (false, false, false, false):
            throw .nothingAsked
        default:
            let fields = [
                (isProduct, "product_id"), (isCart, "product_ids"), (isVector, "source_vector"), (isNew, "new_product"),
            ]
            throw .askedTwice(fields.filter(\.0).map(\.1))
        }
    }

    private func addCart(_ ids: RepeatedView<WireBytes>, _ scratch: RelatedScratch) throws(RelatedProductsRefusal) {
        for index in 0..<ids.count {
            guard !ids[index].isEmpty else { throw .wrongField("product_ids[\(index)]", "the id is empty") }
            scratch.addToCart(try row(of: ids[index], "product_ids"))
        }
    }

    private func find(
        newProduct product: NewProduct.View, _ query: RelatedQuery, _ scratch: RelatedScratch
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path? {
        guard let encoder = table.newProducts else {
            throw missing(
                "new_product", "NO_ENCODER", "has no encoder of new products",
                "train with this version of 'fletch train related' and publish again")
        }
        let leadsTo = try rows(of: product.leadsToProductIds, "new_product.leads_to_product_ids")
        let follows = try rows(of: product.followsProductIds, "new_product.follows_product_ids")
        guard encoder.work(neighbours: leadsTo.count + follows.count) <= query.work else { return nil }
        let features = product.features.map { (name: String($0.key), value: String($0.value)) }
        let vector = scratch.newProductVector(dimension: table.dimension)
        do throws(NewProductError) {
            try encoder.sourceVector(features: features, leadsTo: leadsTo, follows: follows, into: vector.baseAddress!)
        } catch {
            throw missing(
                "new_product", "NOTHING_KNOWN", "knows nothing of what is given",
                "give features that its model was trained with"
                    + (encoder.knowsNeighbours ? ", or known products that it leads to or follows" : ""))
        }
        return try find(vector: UnsafeBufferPointer(vector), "new_product", query, scratch)
    }

    /// The rows of products, each once.
    private func rows(
        of ids: RepeatedView<WireBytes>, _ field: String
    ) throws(RelatedProductsRefusal) -> [UInt32] {
        var rows: [UInt32] = []
        var seen: Set<UInt32> = []
        for index in 0..<ids.count {
            let row = try row(of: ids[index], "\(field)[\(index)]")
            if seen.insert(row).inserted { rows.append(row) }
        }
        return rows
    }

    private func find(
        vector: UnsafeBufferPointer<Float>, _ field: String, _ query: RelatedQuery, _ scratch: RelatedScratch
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path? {
        do throws(VectorError) {
            return try table.find(vector: vector, query, scratch)
        } catch {
            let reason =
                switch error {
                case .wrongDimension(let expected): "\(vector.count) coordinates where the table has \(expected)"
                case .notFinite: "a coordinate is not a finite number"
                case .tooLong: "its norm is above 1e18"
                }
            throw .wrongField(field, reason)
        }
    }
}

// MARK: - What the answer may hold

extension ServedTable {
    /// Says in `scratch` what the answer may hold.
    private func filter(
        _ request: RelatedRequest.View, _ scratch: RelatedScratch
    ) throws(RelatedProductsRefusal) {
        exclude(request.excludeProductIds, scratch)
        exclude(request.boughtProductIds, scratch)
        let allowed = request.allowCategories
        let denied = request.denyCategories
        guard !allowed.isEmpty || !denied.isEmpty || request.maxPerCategory > 0 else { return }
        guard table.hasCategories else {
            let field = !allowed.isEmpty ? "allow_categories" : !denied.isEmpty ? "deny_categories" : "max_per_category"
            throw missing(
                field, "NO_CATEGORIES", "has no categories", "publish it with 'fletch publish --products FILE'")
        }
        if !allowed.isEmpty { table.allowOnly(scratch) }
        try eachCategory(allowed, "allow_categories") { table.allow($0, scratch) }
        try eachCategory(denied, "deny_categories") { table.deny($0, scratch) }
    }

    /// Leaves products out of the answer; ids that the table does not know need not be.
    private func exclude(_ ids: RepeatedView<WireBytes>, _ scratch: RelatedScratch) {
        for id in ids {
            if let row = table.row(of: id.buffer) { scratch.exclude(row) }
        }
    }

    /// Hands the categories that the table knows to `body`.
    private func eachCategory(
        _ names: RepeatedView<WireBytes>, _ field: String, _ body: (UInt32) -> Void
    ) throws(RelatedProductsRefusal) {
        for index in 0..<names.count {
            guard !names[index].isEmpty else { throw .wrongField("\(field)[\(index)]", "the category is empty") }
            if let category = table.category(named: names[index].buffer) { body(category) }
        }
    }
}

// MARK: - Refusals

extension ServedTable {
    private func row(
        of id: WireBytes, _ field: @autoclosure () -> String
    ) throws(RelatedProductsRefusal) -> UInt32 {
        guard let row = table.row(of: id.buffer) else { throw unknown(id, field()) }
        return row
    }

    @inline(never)
    private func unknown(_ id: WireBytes, _ field: String) -> RelatedProductsRefusal {
        guard !id.isEmpty else { return .wrongField(field, "the id is empty") }
        // What a message can name fits a header; a longer id is no product's.
        let longest = 200
        let name = String(WireBytes(start: id.baseAddress, count: min(id.count, longest)))
        let shown = id.count > longest ? name + "..." : name
        return .unknownProduct(shown, table: table.table.name, version: table.version)
    }

    /// What a request asks for and the table lacks.
    private func missing(
        _ field: String, _ reason: String, _ lack: String, _ remedy: String
    ) -> RelatedProductsRefusal {
        .tableLacks(
            field, reason, "table \(table.table.name), version \(table.version), \(lack); \(remedy)",
            table: table.table.name, version: table.version)
    }
}
