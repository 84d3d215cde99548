public import ArgumentParser
internal import Graph
public import Related

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure on held-out data, beside baselines.", subcommands: [EvaluateRelated.self])
}

extension SplitRule: ExpressibleByArgument {}

struct EvaluateRelated: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "related",
        abstract: "Split the edges, train on one part, and measure on the other, beside baselines.",
        discussion: """
            For each held-out edge all products are ranked but the source and what it leads to in the train part. Printed:
            HitRate and MRR, the same on edges whose reverse is not in the train part and by the degree of the source, how
            often the direction of one-way edges is told right, and how well edges are told from pairs without one.

            --split time learns from the past and tests on what came later. --split node takes a share of the products for
            new: of each a few edges are revealed, as part of the graph that is trained on, the others are the test. With
            --products their features are known, too, and --reveal may be 0.
            """)

    @OptionGroup var input: EdgesArgument

    @Option(help: "What is held out: edge (drawn evenly), time (the latest edges) or node (products count as new).")
    var split = EvaluationOptions().split

    @Option(help: "Share of the edges, or of the products where they are split, that is held out.")
    var testFraction = EvaluationOptions().testFraction

    @Option(help: "Edges of each new product that are known, where products are split.")
    var reveal = EvaluationOptions().reveal

    @Option(
        help: ArgumentHelp("What is known of products, as for 'fletch train related --products'.", valueName: "file"))
    var products: String?

    @Option(help: "Repeat with so many seeds, from --seed up, and tell mean and standard deviation.")
    var seeds = EvaluationOptions().seeds

    @Option(
        help: ArgumentHelp(
            "Baselines, separated by commas: \(Baseline.list), all or none.", valueName: "names"))
    var baselines: Choice<Baseline> = .all

    @Option(
        help: ArgumentHelp(
            "Also train and measure variants of the model, separated by commas: \(Ablation.list), all or none.",
            valueName: "names"))
    var ablate: Choice<Ablation> = .none

    @Option(help: ArgumentHelp("Also write every figure as JSON.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Also write every figure as CSV.", valueName: "file"))
    var csv: String?

    @Option(help: ArgumentHelp("Also draw the figures by group of test edges and over k, as SVG.", valueName: "file"))
    var plot: String?

    @Option(
        help: ArgumentHelp(
            "Also write the split of the first seed as CSV, source,target,part: train, test and absent pairs.",
            valueName: "file"))
    var exportSplit: String?

    @Option(
        help: ArgumentHelp("Also write the embeddings of the first seed, as 'fletch train' does.", valueName: "dir"))
    var exportEmbeddings: String?

    @OptionGroup var training: TrainingArguments

    func run() throws {
        let json = try json.map { try ReportFile($0, flag: "--json") }
        let csv = try csv.map { try ReportFile($0, flag: "--csv") }
        let plot = try plot.map { try ReportFile($0, flag: "--plot") }
        let splitFile = try exportSplit.map { try ReportFile($0, flag: "--export-split") }
        let options = options()
        try training.naming(input.edges, options.validate)
        let embeddings = try exportEmbeddings.map { try TrainingOutput(directory: $0) }
        var graphs = try input.loadGraphs()
        let products = try products.map { try ProductFile.load($0) }
        // Products that have features alone are ranked, too.
        if let products { graphs = ProductFeatures(products, graphs: graphs).graphs }
        try splitFile?.write(
            training.naming(input.edges) { () throws(TrainingError) in
                try Evaluation.splitCSV(graphs.purchases, options)
            })
        let progress = EvaluationProgressLine()
        var first: DualEmbedding?
        let evaluation = try training.naming(input.edges) { () throws(TrainingError) in
            try Evaluation.run(graphs, products: products, options: options) { step in
                if case .trained(let embedding, options.seed) = step, embeddings != nil { first = embedding }
                progress.show(step)
            }
        }
        if let first { try embeddings?.write(first) }
        try say(evaluation.table())
        try json?.write(evaluation.json())
        try csv?.write(evaluation.csv())
        try plot?.write(evaluation.svg())
    }

    private func options() -> EvaluationOptions {
        var options = EvaluationOptions()
        options.split = split
        options.testFraction = testFraction
        options.reveal = reveal
        options.seed = training.seed
        options.seeds = seeds
        options.baselines = baselines.values
        options.ablations = ablate.values
        options.training = training.options()
        return options
    }
}

/// Several of the values of a type by their names, separated by commas; or `all`, or `none`.
struct Choice<Value: RawRepresentable & CaseIterable & Sendable>: ExpressibleByArgument, Sendable
where Value.RawValue == String {
    let values: [Value]

    static var all: Choice { Choice(values: Array(Value.allCases)) }
    static var none: Choice { Choice(values: []) }

    private init(values: [Value]) { self.values = values }

    init?(argument: String) {
        switch argument {
        case "all": self = .all
        case "none": self = .none
        default:
            let names = argument.split(separator: ",", omittingEmptySubsequences: false)
            let values = names.compactMap { Value(rawValue: String($0)) }
            guard values.count == names.count, Set(names).count == names.count else { return nil }
            self.values = values
        }
    }

    var defaultValueDescription: String {
        values.isEmpty ? "none" : values.count == Value.allCases.count ? "all" : Value.list
    }
}

extension CaseIterable where Self: RawRepresentable, RawValue == String {
    /// The names of all values.
    static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// Which of the trainings of an evaluation is under way, and how far.
private final class EvaluationProgressLine {
    private let training = TrainingProgressLine()

    func show(_ step: EvaluationProgress) {
        switch step {
        case .began(let run):
            let left = run.secondsLeft.map { ", about \(formatted($0.rounded())) s left" } ?? ""
            log("training \(run.number) of \(run.count): \(run.method), seed \(run.seed)\(left)")
        case .training(let progress): training.show(progress)
        case .trained: training.finish()
        case .scoring(let method):
            training.finish()
            log("scoring \(method)")
        }
    }
}
