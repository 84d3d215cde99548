import Foundation
import Graph
import LinearAlgebra
import Tables
import TestSupport
import Testing

@testable import Related
@testable import Retrieval

/// A catalogue of kinds of products, each leading to the next kind; the last products of each kind have no edges.
private struct Catalogue {
    static let kinds = 8
    static let perKind = 30
    static let cold = 5
    let graphs: EdgeGraphs
    let features: ProductFeatures

    init() throws {
        var generator = SeededGenerator(seed: 1)
        var lines = "source,target,type\n"
        for kind in 0..<Self.kinds {
            for product in 0..<Self.perKind - Self.cold {
                // Different targets: no edge is heavier than others.
                for other in (0..<Self.perKind - Self.cold).shuffled(using: &generator).prefix(6) {
                    lines += "\(Self.id(kind, product)),\(Self.id((kind + 1) % Self.kinds, other)),purchase\n"
                }
            }
        }
        let files = TemporaryDirectory()
        let (edges, products) = (files.path + "/edges.csv", files.path + "/products.csv")
        try lines.write(toFile: edges, atomically: true, encoding: .utf8)
        var table = "id,kind,price,colour\n"
        for kind in 0..<Self.kinds {
            for product in 0..<Self.perKind {
                table += "\(Self.id(kind, product)),k\(kind)|any,\(10 * kind),c\(generator.uniform(below: 3))\n"
            }
        }
        table += "nothing,,,\n"
        try table.write(toFile: products, atomically: true, encoding: .utf8)
        features = ProductFeatures(try ProductFile.load(products), graphs: try EdgeFile.graphs(of: edges))
        graphs = features.graphs
    }

    static func id(_ kind: Int, _ product: Int) -> String { "k\(kind)-\(product)" }

    func row(_ kind: Int, _ product: Int) -> Int { graphs.purchases.ids.row(of: Self.id(kind, product))! }

    func options() -> TrainingOptions {
        var options = TrainingOptions()
        options.dimension = 16
        options.epochs = 12
        options.negatives = 64
        return options
    }
}

@Suite struct ProductTests {
    @Test func countsFeaturesAndAddsProductsWithoutEdges() throws {
        let catalogue = try Catalogue()
        let features = catalogue.features
        #expect(features.leftOut == 1)
        #expect(catalogue.graphs.purchases.nodeCount == Catalogue.kinds * Catalogue.perKind)
        #expect(
            features.names.sorted()
                == (["colour|c0", "colour|c1", "colour|c2", "kind|any", "price"]
                + (0..<Catalogue.kinds).map { "kind|k\($0)" }).sorted())
        let row = catalogue.row(3, 29)
        #expect(catalogue.graphs.purchases.degree(row) == 0)
        let entries = features.offsets[row]..<features.offsets[row + 1]
        let names = entries.map { features.names[Int(features.indices[$0])] }
        #expect(names.contains("kind|k3") && names.contains("kind|any") && names.contains("price"))
        // Prices of 0, 10 ... 70 as often: a mean of 35 and a deviation of 22.9.
        let price = features.values[entries.first { features.names[Int(features.indices[$0])] == "price" }!]
        #expect(abs(price - (30 - 35) / 22.9129) < 1e-4)
    }

    /// Features alone tell what a product without edges leads to.
    @Test func ranksWhatColdProductsLeadToFarAboveChance() throws {
        let catalogue = try Catalogue()
        let embedding = try DualEmbeddingTrainer(
            catalogue.graphs, products: catalogue.features, options: catalogue.options()
        ).run()
        var right = 0
        var total = 0
        for kind in 0..<Catalogue.kinds {
            for product in Catalogue.perKind - Catalogue.cold..<Catalogue.perKind {
                let source = embedding.source[row: catalogue.row(kind, product)]
                let scores = (0..<embedding.ids.count).map { row in
                    (0..<16).reduce(Float(0)) { $0 + source[$1] * embedding.target[row, $1] }
                }
                let best = scores.indices.sorted { scores[$0] > scores[$1] }.prefix(10)
                let wanted = "k\((kind + 1) % Catalogue.kinds)-"
                right += best.count { embedding.ids[$0].hasPrefix(wanted) }
                total += 10
            }
        }
        // By chance one in eight.
        #expect(Double(right) > 0.7 * Double(total), "\(right) of \(total)")
    }

    /// The vector that serving makes of a product is the trainer's.
    @Test(arguments: [0, 2])
    func servesNewProductsAsTheTrainerWouldHaveTrainedThem(layers: Int) throws {
        let catalogue = try Catalogue()
        var options = catalogue.options()
        options.epochs = 2
        options.layers = layers
        let embedding = try DualEmbeddingTrainer(
            catalogue.graphs, products: catalogue.features, options: options
        ).run()
        let directory = TemporaryDirectory()
        let store = Store(path: directory.path + "/store")
        _ = try RelatedTableBuilder(embedding.tables(), listLength: 5).publish(to: store, name: "r", buildID: "test")
        let table = try store.open("r")
        let products = try #require(try NewProducts(table))
        #expect(products.knowsFeatures && products.knowsNeighbours == (layers > 0))
        // A product without edges has no learned row: its features are all there is.
        let cold = catalogue.row(2, 29)
        let colour = (0..<3).first { colour in
            let entries = catalogue.features.offsets[cold]..<catalogue.features.offsets[cold + 1]
            return entries.contains {
                catalogue.features.names[Int(catalogue.features.indices[$0])] == "colour|c\(colour)"
            }
        }!
        var vector = [Float](repeating: .nan, count: 16)
        try products.sourceVector(
            features: [("colour", "c\(colour)"), ("kind", "any|k2"), ("price", "20"), ("unknown", "x")],
            leadsTo: [], follows: [], into: &vector)
        for column in 0..<16 { #expect(abs(vector[column] - embedding.source[cold, column]) < 1e-4, "\(column)") }
        // A known product with its own input, neighbours and all.
        guard layers > 0 else { return }
        let known = catalogue.row(4, 3)
        let graph = catalogue.graphs.purchases
        let hidden = try table.tensor(named: "encoder.hidden").elements(as: Float.self, shape: [nil, nil, nil])
        var input = Array(hidden[known * 16..<(known + 1) * 16])
        products.encode(
            &input, leadsTo: Array(graph.outTargets[graph.outRange(known)]),
            follows: Array(graph.inSources[graph.inRange(known)]), into: &vector)
        for column in 0..<16 { #expect(abs(vector[column] - embedding.source[known, column]) < 1e-4) }
        #expect(throws: NewProductError.nothingKnown) {
            try products.sourceVector(features: [("kind", "unknown")], leadsTo: [], follows: [], into: &vector)
        }
    }

    /// Products that are viewed together, and otherwise have nothing to do with each other, become alike.
    @Test func viewsPullProductsTogether() throws {
        var generator = SeededGenerator(seed: 3)
        let nodes = 60
        let purchases = randomGraph(nodes, edges: 300, seed: 4)
        // Groups of six are viewed together.
        let pairs = (0..<400).map { _ in
            let first = generator.uniform(below: nodes)
            return (first, first / 6 * 6 + generator.uniform(below: 6))
        }
        let views = graph(nodes, pairs)
        /// How often a product of the same group is more alike than one of another.
        func share(_ views: DirectedGraph) throws -> Double {
            var options = TrainingOptions()
            options.dimension = 16
            options.epochs = 10
            options.negatives = 32
            let embedding = try DualEmbeddingTrainer(
                EdgeGraphs(purchases: purchases, views: views), options: options
            ).run()
            func likeness(_ u: Int, _ v: Int) -> Float {
                (0..<14).reduce(0) { $0 + embedding.source[u, $1] * embedding.source[v, $1] }
            }
            var (right, total) = (0, 0)
            for u in 0..<nodes {
                let others = (0..<nodes).filter { $0 / 6 != u / 6 }.map { likeness(u, $0) }
                for v in 0..<nodes where v != u && v / 6 == u / 6 {
                    let alike = likeness(u, v)
                    right += others.count { alike > $0 }
                    total += others.count
                }
            }
            return Double(right) / Double(total)
        }
        let (with, without) = (try share(views), try share(graph(nodes, [])))
        #expect(with > 0.65 && with > without + 0.1, "\(with), without views \(without)")
    }
}

@Suite struct CheckpointTests {
    private func bytes(_ embedding: DualEmbedding) -> Data {
        Data(bytes: embedding.source.elements, count: embedding.source.count * 4)
            + Data(bytes: embedding.target.elements, count: embedding.target.count * 4)
    }

    /// Resumed from any epoch, of the first training or the second, the result is that of one run.
    @Test func resumedTrainingGivesTheSameBytes() throws {
        let graph = randomGraph(80, edges: 500, seed: 1)
        var options = TrainingOptions()
        options.dimension = 12
        options.epochs = 3
        options.negatives = 16
        options.validFraction = 0.1
        let directory = TemporaryDirectory()
        let path = directory.path + "/checkpoint"
        var copies: [Data] = []
        let whole = try DualEmbeddingTrainer(graph, options: options).run(
            checkpoint: TrainingCheckpoint(directory: path, resuming: false)
        ) { progress in
            // After the first step of an epoch the file is that of the epoch before.
            if progress.step == 1, let copy = try? Data(contentsOf: URL(fileURLWithPath: path + "/checkpoint.fletch")) {
                copies.append(copy)
            }
        }
        #expect(copies.count >= 3)
        for copy in copies {
            try copy.write(to: URL(fileURLWithPath: path + "/checkpoint.fletch"))
            let resumed = try DualEmbeddingTrainer(graph, options: options)
                .run(checkpoint: TrainingCheckpoint(directory: path, resuming: true))
            #expect(bytes(resumed) == bytes(whole))
            #expect(resumed.report.losses == whole.report.losses)
        }
        // Another graph, other options, a file cut short.
        func refusal(_ graph: DirectedGraph, _ options: TrainingOptions) -> String {
            let error = #expect(throws: TrainingError.self) {
                try DualEmbeddingTrainer(graph, options: options)
                    .run(checkpoint: TrainingCheckpoint(directory: path, resuming: true))
            }
            return error?.description ?? ""
        }
        #expect(refusal(randomGraph(80, edges: 500, seed: 2), options).contains("other edges"))
        var other = options
        other.seed = 9
        #expect(refusal(graph, other).contains("other options"))
        try copies[1].dropLast(5).write(to: URL(fileURLWithPath: path + "/checkpoint.fletch"))
        #expect(refusal(graph, options).contains("damaged"))
        #expect(throws: TrainingError.self) { try TrainingCheckpoint(directory: path, resuming: false) }
        try FileManager.default.removeItem(atPath: path + "/checkpoint.fletch")
        #expect(throws: TrainingError.self) { try TrainingCheckpoint(directory: path, resuming: true) }
    }
}
