internal import ArgumentParser
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
        help: ArgumentHelp(
            "Part of the best ten rows that searches of large tables must find, measured with the products' own vectors."
        ))
    var recall = VectorIndexBuilder.defaultRecall

    func validate() throws {
        let recalls = VectorIndexBuilder.recalls
        guard recalls.contains(recall) else {
            throw ValidationError("--recall must be from \(recalls.lowerBound) to \(recalls.upperBound)")
        }
        let lengths = RelatedTableBuilder.listLengths
        guard lengths.contains(listLength) else {
            throw ValidationError("--list-length must be from \(lengths.lowerBound) to \(lengths.upperBound)")
        }
    }

    func run() throws {
        let embeddings = try RelatedEmbeddings(path: related + "/embeddings.safetensors")
        let builder = try RelatedTableBuilder(embeddings, listLength: listLength)
        let progress = Mutex(ProgressLine())
        var searches = ""
        let published = try builder.publish(
            to: Store(path: store), name: name, version: version, buildID: Fletch.buildID, recall: recall
        ) { done, total in
            progress.withLock { $0.show("lists: \(done) of \(total) products", isLast: done == total) }
        } report: {
            searches = $0
        }
        progress.withLock { $0.finish() }
        try say(
            "published \(store)/\(name)/\(published): \(count(embeddings.count, "product")), lists of \(builder.listLength)"
        )
        try say("searches: \(searches)")
    }
}
