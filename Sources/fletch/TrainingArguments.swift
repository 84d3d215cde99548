internal import ArgumentParser
internal import Graph
internal import Related

/// The edges file that learning commands read.
struct EdgesArgument: ParsableArguments {
    @Option(
        help: ArgumentHelp("Edges: CSV or TSV, header source,target[,weight]; .gz and .zst too.", valueName: "file"))
    var edges: String

    /// Reads the graph and says what was found.
    func load() throws -> DirectedGraph {
        let graph = try EdgeFile.load(edges)
        var line = "\(edges): \(graph.nodeCount) products, \(graph.edgeCount) edges, "
        line += "\(formatted(100 * graph.reciprocity)) % of them both ways"
        line += "; left out \(count(graph.droppedSelfLoops, "self-loop"))"
        line += ", merged \(count(graph.mergedRepeats, "repeat"))"
        log(line)
        return graph
    }
}

/// Which neighbours pass messages.
enum SamplerArgument: String, ExpressibleByArgument, CaseIterable {
    case full
    case uniform
    case biased
}

/// How embeddings are trained; shared by training and evaluation.
struct TrainingArguments: ParsableArguments {
    @Option(help: "Coordinates of each vector.")
    var dimension = TrainingOptions().dimension

    @Option(help: "Rounds of message passing. From the graph's density where not given, as all without a default.")
    var layers: Int?

    @Option(help: "Passes over the edges.")
    var epochs: Int?

    @Option(help: "The same seed gives the same bytes.")
    var seed: UInt64 = TrainingOptions().seed

    @Option(help: "Adam's rate in the first step; it falls linearly to 0.")
    var learningRate: Float?

    @Option(help: "Negatives shared by the pairs of a step.")
    var negatives = TrainingOptions().negatives

    @Option(help: "Share of input coordinates dropped.")
    var dropout: Float?

    @Option(help: "Weight of the direction term beside the existence term.")
    var directionWeight: Float?

    @Option(help: "Neighbours that pass messages: all, some drawn evenly, or more where the degree is low.")
    var sampler = SamplerArgument.full

    @Option(help: "The most neighbours drawn for a product; the biased sampler draws a quarter of it at least.")
    var fanout = 20

    @Option(help: "Share of the edges that supervise nothing: they choose the epoch and fit the direction offset.")
    var validFraction = TrainingOptions().validFraction

    func validate() throws {
        guard (1...10_000).contains(fanout) else { throw ValidationError("--fanout must be between 1 and 10000") }
    }

    /// What the flags say.
    func options() -> TrainingOptions {
        var options = TrainingOptions()
        options.dimension = dimension
        options.layers = layers
        options.epochs = epochs
        options.seed = seed
        options.learningRate = learningRate
        options.negatives = negatives
        options.dropout = dropout
        options.directionWeight = directionWeight
        options.sampler =
            switch sampler {
            case .full: .full
            case .uniform: .uniform(fanout: fanout)
            case .biased: .degreeBiased(minimum: max(1, fanout / 4), maximum: fanout)
            }
        options.validFraction = validFraction
        return options
    }

    /// Runs `body`; where an option is out of its range, the error names it as a flag.
    func naming<Value>(_ body: () throws(TrainingError) -> Value) throws -> Value {
        do throws(TrainingError) {
            return try body()
        } catch {
            throw CommandError(error.description)
        }
    }
}
