// A server whose answer is always the same items, up to a hundred: what a call costs without a table. Requests are
// decoded and answers built and encoded as the real service does.
//
//     canned-server [LISTEN [LOOPS]]

internal import FletchEventLoop
internal import Glibc
internal import Logging
internal import FletchRPC
internal import FletchSchema
internal import FletchServer
internal import FletchServiceSchema
internal import FletchWire

private struct CannedProducts: RelatedProductsService {
    private let ids: [UnsafeMutableRawBufferPointer]

    init() {
        ids = (0..<100).map { number in
            let text = "B\(100_000_000 + number)"
            let id = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 1)
            id.copyBytes(from: text.utf8)
            return id
        }
    }

    func related(
        _ request: RelatedRequest.View, _ response: RelatedResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        let count = min(ids.count, Int(request.limit))
        var items = response.makeItems(capacity: count)
        for number in 0..<count {
            let item = items.append()
            item.productID = WireBytes(start: ids[number].baseAddress!, count: ids[number].count)
            item.score = 1 - 0.05 * Float(number)
        }
    }

    func relatedBatch(
        _ request: RelatedBatchRequest.View, _ response: RelatedBatchResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        throw RPCError(.unimplemented, "the canned server answers single requests only")
    }

    func scoreEdges(
        _ request: ScoreEdgesRequest.View, _ response: ScoreEdgesResponse.Builder, _ call: UnaryCall
    ) throws(RPCError) {
        throw RPCError(.unimplemented, "the canned server has no scores")
    }
}

let logger = Logger(label: "canned-server")
do {
    let arguments = CommandLine.arguments.dropFirst()
    var configuration = ServerConfiguration(
        address: try ListenAddress(arguments.first ?? "127.0.0.1:50051", flag: "LISTEN"))
    configuration.loopCount = arguments.dropFirst().first.flatMap { Int($0) } ?? 1
    let server = Server(configuration, logger: logger) { _ in RelatedProducts.methods(CannedProducts()) }
    _ = try server.start()
    exit(server.wait() == 0 ? 0 : 1)
} catch {
    logger.critical("\(error)")
    exit(1)
}
