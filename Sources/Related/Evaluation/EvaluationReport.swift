internal import Foundation

extension Evaluation {
    /// The names of the baselines in the order of reports.
    private static let order = [
        "popularity", "coCitation", "normalisedCoCitation", "symmetricTwoHop", "dualSVD", "degrees",
    ]

    /// The methods with their metrics, the embedding first.
    private var methods: [(name: String, metrics: [String: Double])] {
        [("embedding", embedding)] + Self.order.compactMap { name in baselines[name].map { (name, $0) } }
    }

    /// The evaluation as JSON: `{"embedding": {"hitRate@10": ..}, "baselines": {"popularity": {..}, ..}, ..}`.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }

    /// The main metrics as text in columns, with the number of test edges that each rests on.
    public func table() -> String {
        let columns: [(title: String, metric: String, edges: String)] =
            [
                ("HR@5", "hitRate@5", "all"), ("HR@10", "hitRate@10", "all"), ("HR@20", "hitRate@20", "all"),
                ("MRR@10", "mrr@10", "all"), ("HR@10 no reverse", "hitRate@10.noReverse", "noReverse"),
            ]
            + Metric.bands.map { band in
                let name = String(band.suffix.dropFirst())
                return ("HR@10 \(name)", "hitRate@10" + band.suffix, name)
            } + [
                ("direction", Metric.directionAccuracy, "direction"),
                ("direction AUC", Metric.directionAUC, "direction"),
            ]
        var rows = [[""] + columns.map(\.title)]
        for (name, metrics) in methods {
            rows.append([name] + columns.map { column in metrics[column.metric].map(Self.threeDigits) ?? "-" })
        }
        rows.append(["test edges"] + columns.map { String(testEdges[$0.edges] ?? 0) })
        return Self.aligned(rows)
    }

    /// All metrics as CSV: `method,metric,value`.
    public func csv() -> String {
        var text = "method,metric,value\n"
        for (name, metrics) in methods {
            for (metric, value) in metrics.sorted(by: { $0.key < $1.key }) { text += "\(name),\(metric),\(value)\n" }
        }
        return text
    }

    /// Bars of HitRate@10 by method, for all test edges and by degree of the source, as SVG.
    public func svg() -> String {
        let groups = [("all", "")] + Metric.bands.map { (String($0.suffix.dropFirst()), $0.suffix) }
        let ranked = methods.filter { $0.metrics["hitRate@10"] != nil }
        return BarChart(
            title: "HitRate@10 by degree of the source", groups: groups.map(\.0),
            series: ranked.map { method in
                (method.name, groups.map { method.metrics["hitRate@10" + $0.1] ?? 0 })
            }
        ).svg()
    }

    private static func threeDigits(_ value: Double) -> String { String(format: "%.3f", value) }

    /// Columns of equal width, the first to the left, the others to the right.
    private static func aligned(_ rows: [[String]]) -> String {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max()! }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }.joined(separator: "  ") + "\n"
        }.joined()
    }
}

/// Groups of bars on one scale that starts at zero.
private struct BarChart {
    let title: String
    let groups: [String]
    let series: [(name: String, values: [Double])]

    private static let colors = ["#1b6ca8", "#b0b7bf", "#e0a458", "#c8553d", "#7d9d6b", "#8d6a9f", "#5f5f5f"]
    private static let plotHeight = 260.0
    private static let barWidth = 18.0
    private static let left = 50.0
    private static let top = 40.0

    func svg() -> String {
        let groupWidth = Self.barWidth * Double(series.count + 1)
        let width = Self.left + groupWidth * Double(groups.count) + 190
        let height = Self.top + Self.plotHeight + 40
        let largest = series.flatMap(\.values).max() ?? 0
        let scale = max(0.1, (largest * 10).rounded(.up) / 10)
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
                + "font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
            text(title, x: Self.left, y: 22, anchor: "start"),
        ]
        for step in 0...Int((scale * 10).rounded()) {
            let y = Self.top + Self.plotHeight * (1 - Double(step) / 10 / scale)
            let end = Self.left + groupWidth * Double(groups.count)
            lines.append("<line x1=\"\(Self.left)\" y1=\"\(y)\" x2=\"\(end)\" y2=\"\(y)\" stroke=\"#e5e5e5\"/>")
            lines.append(text(String(format: "%.1f", Double(step) / 10), x: Self.left - 8, y: y + 4, anchor: "end"))
        }
        for (group, name) in groups.enumerated() {
            let begin = Self.left + groupWidth * Double(group)
            lines.append(
                text(name, x: begin + groupWidth / 2, y: Self.top + Self.plotHeight + 20, anchor: "middle"))
            for (index, one) in series.enumerated() {
                let bar = Self.plotHeight * one.values[group] / scale
                let x = begin + Self.barWidth * (Double(index) + 0.5)
                lines.append(
                    "<rect x=\"\(x)\" y=\"\(Self.top + Self.plotHeight - bar)\" width=\"\(Self.barWidth - 2)\" "
                        + "height=\"\(bar)\" fill=\"\(color(index))\"><title>\(one.name) \(one.values[group])</title></rect>"
                )
            }
        }
        for (index, one) in series.enumerated() {
            let (x, y) = (Self.left + groupWidth * Double(groups.count) + 16, Self.top + 20 * Double(index))
            lines.append("<rect x=\"\(x)\" y=\"\(y)\" width=\"12\" height=\"12\" fill=\"\(color(index))\"/>")
            lines.append(text(one.name, x: x + 18, y: y + 10, anchor: "start"))
        }
        return lines.joined(separator: "\n") + "\n</svg>\n"
    }

    private func color(_ index: Int) -> String { Self.colors[index % Self.colors.count] }

    private func text(_ text: String, x: Double, y: Double, anchor: String) -> String {
        "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\">\(text)</text>"
    }
}
