internal import ArgumentParser
internal import Foundation
internal import Graph
internal import Related
internal import Retrieval
internal import Synchronization
internal import Tables

struct Publish: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Build exact neighbour lists and publish the next version of a table.",
        discussion: """
            Takes DIR/embeddings.safetensors with the tensors source and target (F32, products x dimension), ids.bytes (U8)
            and ids.offsets (U64, products + 1), from 'fletch train related' or from elsewhere. The store's CURRENT names
            the new version at the very end; killed before, the previous version goes on to serve.
            """)

    @Option(help: ArgumentHelp("Directory of the embeddings.", valueName: "dir"))
    var related: String

    @Option(help: ArgumentHelp("Store of versioned tables; made where it does not exist.", valueName: "dir"))
    var store: String

    @Option(help: "Name of the table.")
    var name = "related"

    @Option(help: "Version to publish as; the next one where not given.")
    var version: Int?

    @Option(help: "Neighbours kept for each product; longer answers are found by a scan.")
    var listLength = RelatedTableBuilder.defaultListLength

    @Option(
        help: "What approximate searches must find of the ten best products, on average; for large tables only.")
    var recall = VectorIndexBuilder.defaultRecall

    @Option(
        help: ArgumentHelp(
            "CSV of the products with the columns id and category: what answers can be filtered by.", valueName: "file")
    )
    var products: String?

    @Option(help: "What ranks the lists: hybrid, where the training found one, or inner-product.")
    var ranker = ListRanker.hybrid

    func validate() throws {
        let lengths = RelatedTableBuilder.listLengths
        guard lengths.contains(listLength) else {
            throw ValidationError("--list-length must be from \(lengths.lowerBound) to \(lengths.upperBound)")
        }
        let recalls = VectorIndexBuilder.recalls
        guard recalls.contains(recall) else {
            throw ValidationError("--recall must be from \(recalls.lowerBound) to \(recalls.upperBound)")
        }
    }

    func run() throws {
        let embeddings = try RelatedEmbeddings(path: related + "/embeddings.safetensors")
        var builder = try RelatedTableBuilder(embeddings, listLength: listLength)
        if ranker == .hybrid { builder.ranker = try HybridRanker(embeddings) }
        builder.categories = try products.map { try categories(in: $0, of: embeddings) }
        let progress = Mutex(ProgressLine())
        let start = Date()
        let published = try builder.publish(
            to: Store(path: store), name: name, version: version, buildID: Fletch.buildID, recall: recall,
            progress: { done, total in
                let rate = Double(done) / max(Date().timeIntervalSince(start), 1e-9)
                progress.withLock {
                    $0.show(
                        "lists: \(done) of \(total) products, \(formatted(rate))/s, "
                            + "\(formatted(Double(total - done) / rate)) s left", isLast: done == total)
                }
            }, report: { log("searches: \($0)") })
        progress.withLock { $0.finish() }
        // As a server does; what it finds is remembered, and a server on this machine can begin at once.
        _ = try RelatedTable(Store(path: store).open(name, version: published))
        try say(
            "published \(store)/\(name)/\(published): \(count(embeddings.count, "product")), lists of \(builder.listLength)"
                + " by \(builder.ranker?.name ?? RelatedEmbeddings.innerProduct)"
        )
        log("peak memory: \(formatted(bytes: peakMemory()))")
    }

    /// The categories that a product file gives the products of the embeddings.
    private func categories(in file: String, of embeddings: RelatedEmbeddings) throws -> CategoryTensors {
        let products = try ProductFile.load(file)
        guard let column = products.column("category") else {
            throw CommandError("\(file): the header has no column category; name the column of the categories so")
        }
        var (known, several) = (0, 0)
        let names = embeddings.withIDs { ids in
            (0..<ids.count).map { row -> String? in
                guard let line = products.ids.row(of: String(decoding: ids[row], as: UTF8.self)) else { return nil }
                known += 1
                let values = column.values(line)
                if values.count > 1 { several += 1 }
                return values.first.map(String.init)
            }
        }
        guard known > 0 else {
            throw CommandError("\(file): none of its ids is in the embeddings; give the file of the same products")
        }
        let unknown = products.ids.count - known
        if unknown > 0 { log("\(file): \(count(unknown, "product")) not in the embeddings") }
        if several > 0 { log("\(file): \(count(several, "product")) of several categories, of which the first counts") }
        let tensors = try CategoryTensors(names)
        log("\(file): \(tensors.products) of \(count(names.count, "product")) have a category, one of \(tensors.count)")
        return tensors
    }
}
