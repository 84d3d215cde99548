public import ArgumentParser
public import Graph
internal import Related

/// The edges file that learning commands read.
struct EdgesArgument: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Edges: CSV or TSV, header source,target[,weight][,type][,time]; .gz and .zst too.", valueName: "file"))
    var edges: String

    /// Reads the purchases and says what was found.
    func load() throws -> DirectedGraph { try loadGraphs().purchases }

    /// Reads the purchases and views and says what was found.
    func loadGraphs() throws -> EdgeGraphs {
        let graphs = try EdgeFile.graphs(of: edges)
        let graph = graphs.purchases
        var line = "\(edges): \(count(graph.nodeCount, "product")), \(count(graph.edgeCount, "edge")), "
        line += "\(formatted(100 * graph.reciprocity)) % of them both ways"
        line += "; left out \(count(graph.droppedSelfLoops, "self-loop"))"
        line += ", merged \(count(graph.mergedRepeats, "repeat"))"
        if graphs.views.edgeCount > 0 { line += "; \(count(graphs.views.edgeCount, "view"))" }
        log(line)
        return graphs
    }
}

extension NeighbourhoodSampler: ExpressibleByArgument {}

/// How embeddings are trained; shared by training and evaluation.
struct TrainingArguments: ParsableArguments {
    @Option(help: "Coordinates of each vector.")
    var dimension = TrainingOptions().dimension

    @Option(help: "Rounds of message passing. From the graph's density where not given, as all without a default.")
    var layers: Int?

    @Option(help: "Passes over the edges.")
    var epochs: Int?

    @Option(parsing: .unconditional, help: "The same seed gives the same bytes.")
    var seed: UInt64 = TrainingOptions().seed

    @Option(help: "Adam's rate in the first step; it falls linearly to 0.")
    var learningRate: Float?

    @Option(help: "Negatives shared by the pairs of a step.")
    var negatives = TrainingOptions().negatives

    @Option(help: "Share of input coordinates dropped.")
    var dropout: Float?

    @Option(help: "Weight of the direction term beside the existence term.")
    var directionWeight: Float?

    @Flag(help: "Leave out the direction term: a direction-weight of 0.")
    var noDirectionLoss = false

    @Option(help: "Weight of each of the two terms that make products viewed together alike.")
    var similarityWeight = TrainingOptions().similarityWeight

    @Option(
        help: "Neighbours that pass messages: full, uniform[:FANOUT], biased[:LEAST:MOST] or walks[:COUNT:LENGTH].")
    var sampler = NeighbourhoodSampler.full

    @Option(
        help: "Share of the edges that supervise nothing: they choose the epoch and fit the direction offset.")
    var validFraction: Double?

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
        options.directionWeight = noDirectionLoss ? 0 : directionWeight
        options.similarityWeight = similarityWeight
        options.sampler = sampler
        options.validFraction = validFraction
        return options
    }

    /// Runs `body`; an error names the flag that is out of its range, or else the edges file.
    func naming<Value>(_ edges: String, _ body: () throws(TrainingError) -> Value) throws -> Value {
        do throws(TrainingError) {
            return try body()
        } catch {
            throw CommandError((error.option.map { "--\($0) " } ?? "\(edges): ") + error.reason)
        }
    }
}
