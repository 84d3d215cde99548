internal import ArgumentParser
internal import Glibc
internal import Graph
internal import Related

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Learn from logs.", subcommands: [TrainRelated.self])
}

struct TrainRelated: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "related",
        abstract: "Learn a source and a target embedding of every product from a directed graph.",
        discussion: """
            The edges file has a header, source,target[,weight][,type], and an edge a line: source leads to target. CSV or
            TSV, plain, gzip or zstd. The type is purchase, or view for what is looked at together, which makes products
            alike. The same files, options and seed give the same bytes.

            Writes OUTPUT/embeddings.safetensors, which 'fletch publish' takes, and OUTPUT/training.json.
            """)

    @OptionGroup var input: EdgesArgument

    @Option(help: ArgumentHelp("Directory for the embeddings; made anew as a whole, or not at all.", valueName: "dir"))
    var output: String

    @Option(
        help: ArgumentHelp(
            "What is known of products: CSV or TSV, header id,...; all columns are input features, also of new products.",
            valueName: "file"))
    var products: String?

    @Option(help: ArgumentHelp("Directory for the state after every epoch; removed at the end.", valueName: "dir"))
    var checkpoint: String?

    @Flag(help: "Go on with the training whose state is in --checkpoint.")
    var resume = false

    @OptionGroup var training: TrainingArguments

    func validate() throws {
        if resume, checkpoint == nil {
            throw ValidationError("--resume needs --checkpoint, the directory to go on from")
        }
    }

    func run() throws {
        let options = training.options()
        try training.naming(input.edges, options.validate)
        let directory = try TrainingOutput(directory: output)
        let checkpoint = try checkpoint.map { path in
            try training.naming(input.edges) { () throws(TrainingError) in
                try TrainingCheckpoint(directory: path, resuming: resume)
            }
        }
        var graphs = try input.loadGraphs()
        let features = try products.map { try loadProducts($0, graphs) }
        graphs = features?.graphs ?? graphs
        let progress = TrainingProgressLine()
        let embedding = try training.naming(input.edges) { () throws(TrainingError) in
            try DualEmbeddingTrainer(graphs, products: features, options: options)
                .run(checkpoint: checkpoint, progress: progress.show)
        }
        progress.finish()
        try directory.write(embedding)
        checkpoint?.remove()
        try say("wrote \(output): \(count(embedding.ids.count, "product")), \(options.dimension) coordinates")
        if let ranker = embedding.report.ranker {
            try say(
                "  lists are ranked by \(ranker.isHybrid ? "inner products and paths" : "inner products alone"): "
                    + "nDCG \(formatted(ranker.hybrid)) with paths, \(formatted(ranker.innerProduct)) without, on "
                    + "\(count(ranker.heldOutEdges, "held-out edge")), standard error \(formatted(ranker.standardError))"
            )
        }
        for name in ["hitRate@10", "mrr@10"] {
            if let value = embedding.report.quality?[name] {
                try say("  on held-out edges: \(name) \(formatted(value))")
            }
        }
        log("peak memory \(formatted(Self.peakMemory / 1e9)) GB")
    }

    /// Reads the features of products and says what was found.
    private func loadProducts(_ path: String, _ graphs: EdgeGraphs) throws -> ProductFeatures {
        let features = ProductFeatures(try ProductFile.load(path), graphs: graphs)
        var line = "\(path): \(count(features.count, "feature"))"
        let added = features.graphs.purchases.nodeCount - graphs.purchases.nodeCount
        line += "; \(count(added, "product")) without edges"
        if features.leftOut > 0 { line += "; left out \(features.leftOut) with neither features nor edges" }
        log(line)
        return features
    }

    /// The most memory that the process ever held, in bytes.
    private static var peakMemory: Double {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_maxrss) * 1024
    }
}
