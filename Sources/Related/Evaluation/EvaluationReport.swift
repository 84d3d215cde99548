internal import Foundation

extension Evaluation {
    /// The mean over the seeds of each metric of a method; those that a seed lacks are left out.
    public func means(_ method: String) -> [String: Double] {
        values(method).mapValues { $0.reduce(0, +) / Double($0.count) }
    }

    /// The standard deviation over the seeds of each metric of a method (of the sample: n - 1); empty for one seed.
    public func spread(_ method: String) -> [String: Double] {
        guard seeds.count > 1 else { return [:] }
        let means = means(method)
        return values(method).reduce(into: [:]) { spread, entry in
            let squares = entry.value.reduce(0) { $0 + ($1 - means[entry.key]!) * ($1 - means[entry.key]!) }
            spread[entry.key] = (squares / Double(entry.value.count - 1)).squareRoot()
        }
    }

    private func values(_ method: String) -> [String: [Double]] {
        seeds.reduce(into: [:]) { values, seed in
            for (metric, value) in seed.methods[method] ?? [:] { values[metric, default: []].append(value) }
        }.filter { $0.value.count == seeds.count }
    }

    /// What the JSON holds.
    private struct Report: Encodable {
        let split: SplitRule
        let splitSeed: UInt64
        let testEdges: [String: Int]
        let embedding: [String: Double]
        let hybrid: [String: Double]
        let baselines: [String: [String: Double]]
        let variants: [String: [String: Double]]
        let spread: [String: [String: Double]]
        let training: TrainingReport
        let seeds: [Seed]
    }

    /// The evaluation as JSON: means over the seeds by method, `{"embedding": {"hitRate@10": ..}, "baselines":
    /// {"popularity": {..}, ..}, "variants": {..}, ..}`, their `spread` (standard deviation), and all `seeds` by themselves.
    public func json() throws -> String {
        func all(_ names: [String], _ values: (String) -> [String: Double]) -> [String: [String: Double]] {
            Dictionary(uniqueKeysWithValues: names.map { ($0, values($0)) })
        }
        let baselines = methods.filter { ![Self.embedding, Self.hybrid].contains($0) && !variants.contains($0) }
        let report = Report(
            split: split, splitSeed: seeds[0].seed, testEdges: seeds[0].testEdges, embedding: means(Self.embedding),
            hybrid: means(Self.hybrid), baselines: all(baselines, means), variants: all(variants, means),
            spread: seeds.count > 1 ? all(methods, spread) : [:], training: seeds[0].training, seeds: seeds)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self) + "\n"
    }

    /// All metrics as CSV: `method,metric,group,seed,value`. Where there are several seeds, rows whose seed is `mean` and
    /// `sd` (standard deviation) follow those of the seeds.
    public func csv() -> String {
        var text = "method,metric,group,seed,value\n"
        func add(_ method: String, _ metrics: [String: Double], seed: String) {
            for (name, value) in metrics.sorted(by: { $0.key < $1.key }) {
                let (metric, group) = Metric.parts(name)
                text += "\(method),\(metric),\(group),\(seed),\(value)\n"
            }
        }
        for method in methods {
            for seed in seeds { add(method, seed.methods[method] ?? [:], seed: "\(seed.seed)") }
            if seeds.count > 1 {
                add(method, means(method), seed: "mean")
                add(method, spread(method), seed: "sd")
            }
        }
        return text
    }

    /// A column of a table: its title, the metric, and the group of test edges that it rests on.
    private typealias Column = (title: String, metric: String, edges: String)

    /// The main metrics as text, in tables of at most 120 columns: mean and, over several seeds, the standard deviation,
    /// with the number of test edges of the first seed below.
    public func table() -> String {
        let groups = Metric.groups.filter { seeds[0].testEdges[$0] != nil }
        let ranking: [Column] =
            ["hitRate@5", "hitRate@10", "hitRate@20", "mrr@10", "mrr"].map { ($0, $0, "all") }
        let byGroup: [Column] = groups.map { ($0, "hitRate@10.\($0)", $0) }
        let pairs: [Column] = [
            ("accuracy", Metric.directionAccuracy, "direction"), ("AUC", Metric.directionAUC, "direction"),
            ("uniform", "\(Metric.existenceAUC).uniform", "uniform"),
            ("byDegree", "\(Metric.existenceAUC).byDegree", "byDegree"),
        ]
        return section("Ranking of all products", ranking)
            + section("hitRate@10 by group of test edges", byGroup)
            + section("Direction of one-way edges; AUC of edges against absent pairs", pairs)
    }

    private func section(_ title: String, _ columns: [Column]) -> String {
        var rows = [[title] + columns.map(\.title)]
        for method in methods {
            let (means, spread) = (means(method), spread(method))
            guard columns.contains(where: { means[$0.metric] != nil }) else { continue }
            rows.append([method] + columns.map { Self.cell(means[$0.metric], spread[$0.metric]) })
        }
        rows.append(["test edges"] + columns.map { String(seeds[0].testEdges[$0.edges] ?? 0) })
        return Self.aligned(rows)
    }

    private static func cell(_ mean: Double?, _ spread: Double?) -> String {
        guard let mean else { return "-" }
        return String(format: "%.3f", mean) + (spread.map { String(format: " ±%.3f", $0) } ?? "")
    }

    /// The title of the first row on a line of its own, then columns, the first to the left, the others to the right.
    private static func aligned(_ rows: [[String]]) -> String {
        let cells = [[""] + rows[0].dropFirst()] + rows.dropFirst()
        let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max()! }
        let lines = cells.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }.joined(separator: "  ")
        }
        return ([rows[0][0]] + lines).joined(separator: "\n") + "\n\n"
    }
}
