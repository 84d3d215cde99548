internal import FletchEventLoop
public import FletchRPC
public import Retrieval
public import FletchSchema
public import FletchServiceSchema
internal import FletchWire

/// Answers `fletch.v1.RelatedProducts` from one table. Belongs to one event loop: every loop has its own.
///
/// What takes well under a millisecond is answered on the loop, by a warm handler without an allocation: ids in the
/// answer point into the mapped table, everything else is in the call's arena or in the scratch. What takes longer is
/// answered by a thread of the process's pool, so that it holds no loop.
public final class RelatedProductsHandler: RelatedProductsService {
    /// Items in an answer where the request does not say.
    public static let defaultLimit = 10
    /// The most items in an answer: what a page of a shop may page through, and a bound on a response's memory.
    public static let maxLimit = 1000
    /// Coordinates of a table that a call may read on its loop: a plain scan of so many takes about 0.1 ms.
    public static let longScan = 1 << 20
    /// Ids and items of a call that is answered on its loop: as many look-ups in a large table take about half a millisecond.
    /// Fewer where vectors have more than ``usualDimension`` coordinates, which carts, pairs and explanations read.
    public static let manyParts = 4000
    /// Coordinates of a vector that take no longer to read than its product to be found.
    private static let usualDimension = 64
    /// The most requests in a batch: each may be a scan of the whole table.
    public static let maxBatch = 256
    /// The most items that all requests of a batch may ask for together: their response stays below the 4 MiB that most
    /// clients accept where ids have up to 60 bytes.
    public static let maxBatchItems = 50_000
    /// The most products to leave out, and the most that are bought already: each is a look-up.
    public static let maxExcluded = 10_000
    /// The most categories to allow, and the most to deny: a shop's shelves, not its catalogue.
    public static let maxCategories = 1000
    /// The most products that a new one leads to, and the most that it follows: each is a row that its encoder adds up.
    public static let maxNeighbours = 1000
    /// The most features of a new product: far beyond what models are trained with.
    public static let maxFeatures = 1000
    /// The most pairs to score in one call: each is two inner products.
    public static let maxEdges = 10_000
    /// The most products in a cart.
    public static let maxCart = 1000

    private var served: ServedTable?
    private let scratch = RelatedScratch()
    private let pool = ScratchPool()
    private let longScan: Int
    private let audit: RecallAudit?

    /// A handler that serves `table`; nil until one is there.
    public convenience init(table: RelatedTable?, longScan: Int = RelatedProductsHandler.longScan) {
        self.init(table: table, longScan: longScan, audit: nil)
    }

    init(table: RelatedTable?, longScan: Int, audit: RecallAudit?) {
        self.longScan = longScan
        self.audit = audit
        served = table.map(ServedTable.init)
    }

    /// Serves another table from now on. On the loop's thread, between calls.
    public func serve(_ table: RelatedTable?) {
        served = table.map(ServedTable.init)
    }

    public func related(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let served = try table()
        do throws(RelatedProductsRefusal) {
            try served.checkCounts(request)
            if Self.areFew(Self.parts(of: request), in: served),
                try answer(request, response, from: served, scratch, work: longScan)
            {
                return
            }
        } catch {
            throw error.error
        }
        answerElsewhere(call) { (handler, request: RelatedRequest.View, response: RelatedResponse.Builder) in
            try handler.pool.withScratch { _ = try handler.answer(request, response, from: served, $0) }
        }
    }

    public func relatedBatch(
        _ request: RelatedBatchRequest.View, _ response: RelatedBatchResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let served = try table()
        try check(request)
        if Self.areFew(request.requests.reduce(0) { $0 + Self.parts(of: $1) }, in: served) {
            let share = longScan / max(1, request.requests.count)
            var results = response.makeResults(capacity: request.requests.count)
            let isAnswered = request.requests.allSatisfy { request in
                answer(request, results.append(), from: served, scratch, work: share)
            }
            if isAnswered { return }
        }
        answerElsewhere(call) {
            (handler, request: RelatedBatchRequest.View, response: RelatedBatchResponse.Builder) in
            var results = response.makeResults(capacity: request.requests.count)
            for request in request.requests {
                // A batch that nobody waits for any more ends here.
                try Task.checkCancellation()
                handler.pool.withScratch { _ = handler.answer(request, results.append(), from: served, $0) }
                // Other calls take their turn: one must not wait for all of a batch.
                await Task.yield()
            }
        }
    }

    public func scoreEdges(
        _ request: ScoreEdgesRequest.View, _ response: ScoreEdgesResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let served = try table()
        guard request.edges.count <= Self.maxEdges else {
            throw RelatedProductsRefusal.wrongField(
                "edges", "\(request.edges.count) edges; send at most \(Self.maxEdges)"
            ).error
        }
        guard Self.areFew(2 * request.edges.count, in: served) else {
            answerElsewhere(call) { (_, request: ScoreEdgesRequest.View, response: ScoreEdgesResponse.Builder) in
                try served.score(request, response)
            }
            return
        }
        do throws(RelatedProductsRefusal) {
            try served.score(request, response)
        } catch {
            throw error.error
        }
    }

    /// Whether a call of so many parts may be answered on its loop.
    private static func areFew(_ parts: Int, in served: ServedTable) -> Bool {
        parts * max(served.table.dimension, usualDimension) <= manyParts * usualDimension
    }

    /// How many ids a request brings and how many items it wants, an explained one for two more: what takes time
    /// whichever way it is answered.
    private static func parts(of request: RelatedRequest.View) -> Int {
        request.productIds.count + request.excludeProductIds.count + request.boughtProductIds.count
            + request.allowCategories.count + request.denyCategories.count
            + itemsWanted(by: request) * (request.explain ? 3 : 1) + (request.newProduct.map(parts) ?? 0)
    }

    private static func parts(of product: NewProduct.View) -> Int {
        product.features.count + product.leadsToProductIds.count + product.followsProductIds.count
    }

    static func itemsWanted(by request: RelatedRequest.View) -> Int {
        request.limit == 0 ? defaultLimit : Int(request.limit)
    }

    /// Answers on another thread: the call's loop goes on, and waits for nobody.
    private func answerElsewhere<Request: MessageView & SendableMetatype, Response: MessageBuilder & SendableMetatype>(
        _ call: UnaryCall,
        _ answer: @escaping @Sendable (RelatedProductsHandler, Request, Response) async throws -> Void
    ) {
        // Nothing is used of it there that changes.
        nonisolated(unsafe) let handler = self
        call.respondLater { call in
            // Nobody else touches the call's arena while its task is elsewhere.
            nonisolated(unsafe) let request = try call.decode(Request.self, limits: DecodeLimits())
            nonisolated(unsafe) let response = Response(in: try call.arena())
            do {
                try await withTaskExecutorPreference(globalConcurrentExecutor) {
                    try Task.checkCancellation()
                    try await answer(handler, request, response)
                }
            } catch let refusal as RelatedProductsRefusal {
                throw refusal.error
            }
            try call.respond(response)
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

    private func table() throws(RPCError) -> ServedTable {
        guard let served else { throw RelatedProductsRefusal.noTable.error }
        return served
    }
}

// Single answers, on the loop or beside it: only what never changes of the handler is used.
extension RelatedProductsHandler {
    /// Answers one request; false, with nothing in the response, where that would read more than `work`.
    private func answer(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, from served: ServedTable,
        _ scratch: RelatedScratch, work: Int = .max
    ) throws(RelatedProductsRefusal) -> Bool {
        guard let path = try served.answer(request, response, scratch, work: work) else { return false }
        if path == .invertedLists { audit?.answered(request, scratch.results, from: served, pool) }
        return true
    }

    /// Answers one request of a batch, an error with its own status; false where that would read more than `work`.
    private func answer(
        _ request: RelatedRequest.View, _ result: RelatedResult.Builder, from served: ServedTable,
        _ scratch: RelatedScratch, work: Int = .max
    ) -> Bool {
        let status = result.makeStatus()
        do throws(RelatedProductsRefusal) {
            try served.checkCounts(request)
            return try answer(request, result.makeResponse(), from: served, scratch, work: work)
        } catch {
            result.response = nil
            status.code = Int32(error.code.rawValue)
            status.message = result._arena.copy(error.message)
            return true
        }
    }
}

/// Scratches for threads that answer beside the loops; as many as have answered at once.
final class ScratchPool: Sendable {
    private let kept = Locked<[RelatedScratch]>([])

    func withScratch<Answer>(_ body: (RelatedScratch) throws -> Answer) rethrows -> Answer {
        let scratch = kept.withLock { $0.popLast() } ?? RelatedScratch()
        defer { kept.withLock { $0.append(scratch) } }
        return try body(scratch)
    }
}
