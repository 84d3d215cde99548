public import FletchRPC
public import Retrieval
public import FletchSchema
public import FletchServiceSchema
internal import Tables
internal import FletchWire

/// Answers `fletch.v1.RelatedProducts` from one table. Belongs to one event loop: every loop has its own.
///
/// A warm handler allocates nothing: ids in the answer point into the mapped table, everything else is in the call's
/// arena or in the scratch.
public final class RelatedProductsHandler: RelatedProductsService {
    /// Items in an answer where the request does not say.
    public static let defaultLimit = 10
    /// The most items in an answer: what a page of a shop may page through, and a bound on a response's memory.
    public static let maxLimit = 1000
    /// Coordinates of a table above which a scan takes about 0.1 ms, and is made by a task that others may interrupt.
    public static let longScan = 1 << 20
    /// The most requests in a batch: each may be a scan of the whole table.
    public static let maxBatch = 256
    /// The most items that all requests of a batch may ask for together: their response stays below the 4 MiB that most
    /// clients accept where ids have up to 60 bytes.
    public static let maxBatchItems = 50_000
    /// The most products to leave out: each is a look-up, and all of them hold the loop.
    public static let maxExcluded = 10_000
    /// The most pairs to score in one call: each is two inner products.
    public static let maxEdges = 10_000
    /// The most products in a cart.
    public static let maxCart = 1000

    private var served: ServedTable?
    private let scratch = RelatedScratch()
    private let longScan: Int

    /// A handler that serves `table`; nil until one is there.
    public init(table: RelatedTable?, longScan: Int = RelatedProductsHandler.longScan) {
        self.longScan = longScan
        served = table.map(ServedTable.init)
    }

    /// Serves another table from now on. On the loop's thread, between calls.
    public func serve(_ table: RelatedTable) {
        served = ServedTable(table)
    }

    public func related(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let served = try table()
        guard isLong(request, in: served.table) else {
            try answerOrFail(request, response, from: served)
            return
        }
        answerLater(call, from: served) { (handler, request: RelatedRequest.View, call) throws(RPCError) in
            let response = RelatedResponse.Builder(in: try call.arena())
            try handler.answerOrFail(request, response, from: served)
            return response
        }
    }

    public func relatedBatch(
        _ request: RelatedBatchRequest.View, _ response: RelatedBatchResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let served = try table()
        try check(request)
        guard request.requests.contains(where: { isLong($0, in: served.table) }) else {
            var results = response.makeResults(capacity: request.requests.count)
            for request in request.requests { answer(request, results.append(), in: call.arena, from: served) }
            return
        }
        answerLater(call, from: served) { (handler, request: RelatedBatchRequest.View, call) in
            let response = RelatedBatchResponse.Builder(in: try call.arena())
            var results = response.makeResults(capacity: request.requests.count)
            for request in request.requests {
                handler.answer(request, results.append(), in: try call.arena(), from: served)
                // Other calls have their turn between two scans; one that nobody waits for any more ends here.
                if handler.isLong(request, in: served.table) { await Task.yield() }
                try Task.checkCancellation()
            }
            return response
        }
    }

    public func scoreEdges(
        _ request: ScoreEdgesRequest.View, _ response: ScoreEdgesResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let served = try table()
        let table = served.table
        guard request.edges.count <= Self.maxEdges else {
            throw RelatedProductsRefusal.wrongField(
                "edges", "\(request.edges.count) edges; send at most \(Self.maxEdges)"
            ).error
        }
        var scores = response.makeScores(capacity: request.edges.count)
        for edge in request.edges {
            do throws(RelatedProductsRefusal) {
                let source = try row(of: edge.sourceProductID, in: table)
                let target = try row(of: edge.targetProductID, in: table)
                let score = scores.append()
                score.forward = table.score(from: source, to: target)
                score.reverse = table.score(from: target, to: source)
            } catch {
                throw error.error
            }
        }
        response.tableVersion = served.version
    }

    /// Whether a request may scan so much of the table that other callers would notice.
    private func isLong(_ request: RelatedRequest.View, in table: RelatedTable) -> Bool {
        guard table.count * table.dimension > longScan else { return false }
        return request.productID.isEmpty || !request.excludeProductIds.isEmpty
            || Self.itemsWanted(by: request) > table.listLength
    }

    /// Answers as a task, which other calls of the loop can interrupt where it waits.
    private func answerLater<Request: MessageView & SendableMetatype, Response: MessageBuilder & SendableMetatype>(
        _ call: UnaryCall, from served: ServedTable,
        _ answer: @escaping @Sendable (RelatedProductsHandler, Request, AsyncCall) async throws -> Response
    ) {
        // The task runs on the same loop.
        nonisolated(unsafe) let handler = self
        call.respondLater { call in
            let request = try call.decode(Request.self, limits: DecodeLimits())
            try call.respond(try await answer(handler, request, call))
        }
    }

    private func check(_ request: RelatedBatchRequest.View) throws(RPCError) {
        guard request.requests.count <= Self.maxBatch else {
            throw RelatedProductsRefusal.wrongField(
                "requests", "\(request.requests.count) in one batch; send at most \(Self.maxBatch)"
            ).error
        }
        // A limit that is too large fails its own request, not the batch.
        let items = request.requests.reduce(0) { $0 + min(Self.itemsWanted(by: $1), Self.maxLimit) }
        guard items <= Self.maxBatchItems else {
            throw RelatedProductsRefusal.wrongField(
                "requests",
                "their limits add up to \(items) items; ask for at most \(Self.maxBatchItems) in one batch"
            ).error
        }
    }

    /// Answers one request of a batch; an error is its own status.
    private func answer(
        _ request: RelatedRequest.View, _ result: RelatedResult.Builder, in arena: Arena,
        from served: ServedTable
    ) {
        let status = result.makeStatus()
        do throws(RelatedProductsRefusal) {
            try answer(request, result.makeResponse(), from: served)
        } catch {
            result.response = nil
            status.code = Int32(error.code.rawValue)
            status.message = arena.copy(error.message)
        }
    }

    private func table() throws(RPCError) -> ServedTable {
        guard let served else { throw RelatedProductsRefusal.noTable.error }
        return served
    }

    /// Answers the one request of a call.
    private func answerOrFail(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, from served: ServedTable
    ) throws(RPCError) {
        do throws(RelatedProductsRefusal) {
            try answer(request, response, from: served)
        } catch {
            throw error.error
        }
    }

    private func answer(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, from served: ServedTable
    ) throws(RelatedProductsRefusal) {
        let table = served.table
        let limit = try limit(of: request)
        guard request.excludeProductIds.count <= Self.maxExcluded else {
            throw .wrongField(
                "exclude_product_ids",
                "\(request.excludeProductIds.count) ids; leave out at most \(Self.maxExcluded)")
        }
        scratch.reset()
        for id in request.excludeProductIds {
            if let row = table.row(of: id.buffer) { scratch.exclude(row) }
        }
        let path = try find(request, limit: limit, in: table)

        var items = response.makeItems(capacity: scratch.results.count)
        for result in scratch.results {
            let item = items.append()
            item.productID = WireBytes(table.id(of: result.row))
            item.score = result.score
        }
        response.tableVersion = served.version
        response.path = path == .list ? .list : .scan
    }

    private func limit(of request: RelatedRequest.View) throws(RelatedProductsRefusal) -> Int {
        guard request.limit <= Self.maxLimit else {
            throw .wrongField("limit", "\(request.limit) is above the largest, \(Self.maxLimit)")
        }
        return Self.itemsWanted(by: request)
    }

    private static func itemsWanted(by request: RelatedRequest.View) -> Int {
        request.limit == 0 ? defaultLimit : Int(request.limit)
    }

    private func find(
        _ request: RelatedRequest.View, limit: Int, in table: RelatedTable
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path {
        let isProduct = !request.productID.isEmpty
        let isCart = !request.productIds.isEmpty
        let isVector = !request.sourceVector.isEmpty
        switch (isProduct, isCart, isVector) {
        case (true, false, false):
            return table.related(to: try row(of: request.productID, in: table), limit: limit, scratch)
        case (false, true, false):
            return try findCart(request.productIds, limit: limit, in: table)
        case (false, false, true):
            return try findVector(request.sourceVector.buffer, limit: limit, in: table)
        case (false, false, false):
            throw .nothingAsked
        default:
            let fields = [(isProduct, "product_id"), (isCart, "product_ids"), (isVector, "source_vector")]
            throw .askedTwice(fields.filter(\.0).map(\.1))
        }
    }

    private func findCart(
        _ ids: RepeatedView<WireBytes>, limit: Int, in table: RelatedTable
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path {
        guard ids.count <= Self.maxCart else {
            throw .wrongField("product_ids", "\(ids.count) products; ask with at most \(Self.maxCart)")
        }
        for index in 0..<ids.count {
            guard !ids[index].isEmpty else { throw .wrongField("product_ids[\(index)]", "the id is empty") }
            scratch.addToCart(try row(of: ids[index], in: table))
        }
        return table.relatedToCart(limit: limit, scratch)
    }

    private func findVector(
        _ vector: UnsafeBufferPointer<Float>, limit: Int, in table: RelatedTable
    ) throws(RelatedProductsRefusal) -> RelatedTable.Path {
        do throws(VectorError) {
            return try table.related(toVector: vector, limit: limit, scratch)
        } catch {
            let reason =
                switch error {
                case .wrongDimension(let expected): "\(vector.count) coordinates where the table has \(expected)"
                case .notFinite: "a coordinate is not a finite number"
                case .tooLong: "its norm is above 1e18"
                }
            throw .wrongField("source_vector", reason)
        }
    }

    private func row(of id: WireBytes, in table: RelatedTable) throws(RelatedProductsRefusal) -> UInt32 {
        guard let row = table.row(of: id.buffer) else { throw Self.unknown(id, in: table) }
        return row
    }

    @inline(never)
    private static func unknown(_ id: WireBytes, in table: RelatedTable) -> RelatedProductsRefusal {
        // What a message can name fits a header; a longer id is no product's.
        let longest = 200
        let name = String(WireBytes(start: id.baseAddress, count: min(id.count, longest)))
        let shown = id.count > longest ? name + "..." : name
        return .unknownProduct(shown, table: table.table.name, version: table.table.version)
    }
}

/// A table and the bytes of its version, which answers refer to; nothing in it changes.
private final class ServedTable: @unchecked Sendable {
    let table: RelatedTable
    let version: WireBytes
    private let versionBytes: UnsafeMutableRawBufferPointer

    init(_ table: RelatedTable) {
        self.table = table
        let text = Array(table.table.version.utf8)
        versionBytes = .allocate(byteCount: text.count, alignment: 1)
        versionBytes.copyBytes(from: text)
        version = WireBytes(UnsafeRawBufferPointer(versionBytes))
    }

    deinit { versionBytes.deallocate() }
}
