internal import ArgumentParser
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
            The edges file has a header, source,target[,weight], and an edge a line: source leads to target. CSV or TSV,
            plain, gzip or zstd. The same file, options and seed give the same bytes.

            Writes OUTPUT/embeddings.safetensors, which 'fletch publish' takes, and OUTPUT/training.json.
            """)

    @OptionGroup var input: EdgesArgument

    @Option(help: ArgumentHelp("Directory for the embeddings; made anew as a whole, or not at all.", valueName: "dir"))
    var output: String

    @OptionGroup var training: TrainingArguments

    func run() throws {
        let options = training.options()
        let directory = try TrainingOutput(directory: output)
        let graph = try input.load()
        let progress = TrainingProgressLine()
        let embedding = try training.naming(input.edges) { () throws(TrainingError) in
            try DualEmbeddingTrainer(graph, options: options).run(progress: progress.show)
        }
        progress.finish()
        try directory.write(embedding)
        try say("wrote \(output): \(graph.nodeCount) products, \(options.dimension) coordinates")
        for name in ["hitRate@10", "mrr@10"] {
            if let value = embedding.report.quality?[name] {
                try say("  on held-out edges: \(name) \(formatted(value))")
            }
        }
    }
}
