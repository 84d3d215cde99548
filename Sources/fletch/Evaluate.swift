internal import ArgumentParser
internal import Related

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure on held-out data, beside baselines.", subcommands: [EvaluateRelated.self])
}

struct EvaluateRelated: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "related",
        abstract: "Split the edges, train on one part, and measure on the other, beside six baselines.",
        discussion: """
            For each held-out edge all products are ranked but the source and what it leads to in the train part. Printed:
            HitRate and MRR at 5, 10 and 20, the same on edges whose reverse is not in the train part and by the degree
            of the source, and how often the direction of one-way edges is told right.
            """)

    @OptionGroup var input: EdgesArgument

    @Option(help: "Share of the edges that are held out.")
    var testFraction = EvaluationOptions().testFraction

    @Option(help: ArgumentHelp("Also write every figure as JSON.", valueName: "file"))
    var json: String?

    @Option(help: ArgumentHelp("Also write every figure as CSV.", valueName: "file"))
    var csv: String?

    @Option(help: ArgumentHelp("Also draw the figures by degree of the source, as SVG.", valueName: "file"))
    var plot: String?

    @OptionGroup var training: TrainingArguments

    func run() throws {
        let json = try json.map { try ReportFile($0, flag: "--json") }
        let csv = try csv.map { try ReportFile($0, flag: "--csv") }
        let plot = try plot.map { try ReportFile($0, flag: "--plot") }
        var options = EvaluationOptions()
        options.testFraction = testFraction
        options.seed = training.seed
        options.training = training.options()
        let graph = try input.load()
        let progress = TrainingProgressLine()
        let evaluation = try training.naming(input.edges) { () throws(TrainingError) in
            try Evaluation.run(graph, options: options) { step in
                switch step {
                case .training(let training): progress.show(training)
                case .scoring(let method):
                    progress.finish()
                    log("scoring \(method)")
                }
            }
        }
        try say(evaluation.table())
        try json?.write(evaluation.json())
        try csv?.write(evaluation.csv())
        try plot?.write(evaluation.svg())
    }
}
