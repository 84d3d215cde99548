internal import Foundation

extension Evaluation {
    /// Two charts as SVG: bars of HitRate@10 for all test edges and by group, with the standard deviation over the seeds
    /// as whiskers, and HitRate over k.
    public func svg() -> String {
        let groups = ["all"] + Metric.groups.filter { seeds[0].testEdges[$0].map { $0 > 0 } ?? false }
        let ranked = methods.filter { means($0)["hitRate@10"] != nil }
        let bars = ranked.map { method in
            let (means, spread) = (means(method), spread(method))
            let names = groups.map { $0 == "all" ? "hitRate@10" : "hitRate@10.\($0)" }
            return Plot.Bars(
                values: names.map { means[$0] ?? 0 }, whiskers: spread.isEmpty ? [] : names.map { spread[$0] ?? 0 })
        }
        let curves = ranked.map { method in Metric.curve.map { means(method)["hitRate@\($0)"] ?? 0 } }
        return Plot(
            names: ranked, groups: groups.map { ($0, seeds[0].testEdges[$0] ?? 0) }, bars: bars, ks: Metric.curve,
            curves: curves, seeds: seeds.count
        ).svg()
    }
}

/// Groups of bars beside lines, on scales that start at zero, with one legend.
private struct Plot {
    struct Bars {
        let values: [Double]
        let whiskers: [Double]
    }

    let names: [String]
    let groups: [(name: String, edges: Int)]
    let bars: [Bars]
    let ks: [Int]
    let curves: [[Double]]
    let seeds: Int

    /// Told apart also by those who do not see red and green alike (Okabe and Ito's palette, lightness falling).
    private static let colors = [
        "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#8c8c8c", "#3d3d3d", "#b8a100", "#7a4fb5",
        "#9c4a1a", "#5fae9f", "#c2c2c2",
    ]
    private static let height = 260.0
    private static let top = 58.0
    private static let left = 46.0
    private static let gap = 62.0
    private static let curveWidth = 300.0
    /// About the width of a character, and of the box before a name.
    private static let character = 6.8
    private static let legendBox = 36.0

    private var barWidth: Double { max(4, min(14, 110 / Double(names.count))) }
    private var groupWidth: Double { barWidth * (Double(names.count) + 1.5) }
    private var barsWidth: Double { groupWidth * Double(groups.count) }
    private var legendColumn: Double { Double(names.map(\.count).max() ?? 0) * Self.character + Self.legendBox }
    private var curveLeft: Double { Self.left + barsWidth + Self.gap }
    private var width: Double { curveLeft + Self.curveWidth + 20 }
    private var bottom: Double { Self.top + Self.height }

    func svg() -> String {
        let perRow = max(1, Int((width - Self.left) / legendColumn))
        let legendRows = (names.count + perRow - 1) / perRow
        let fullHeight = bottom + 56 + 20 * Double(legendRows)
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(number(width)) \(number(fullHeight))\" "
                + "width=\"\(number(width))\" height=\"\(number(fullHeight))\" font-family=\"sans-serif\" "
                + "font-size=\"12\" fill=\"#222\">",
            "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        ]
        lines += barChart()
        lines += curveChart()
        for (index, name) in names.enumerated() {
            let x = Self.left + Double(index % perRow) * legendColumn
            let y = bottom + 52 + 20 * Double(index / perRow)
            lines.append(rectangle(x, y, 12, 12, color(index)))
            lines.append(text(name, x + 18, y + 10, anchor: "start"))
        }
        return lines.joined(separator: "\n") + "\n</svg>\n"
    }

    private func barChart() -> [String] {
        let largest = bars.flatMap { bar in
            bar.values.indices.map { bar.values[$0] + (bar.whiskers.isEmpty ? 0 : bar.whiskers[$0]) }
        }.max()
        let scale = Scale(largest: largest ?? 0, top: Self.top, height: Self.height)
        var lines = [title("HitRate@10 by group of test edges", Self.left)]
        if seeds > 1 { lines.append(subtitle("mean of \(seeds) seeds; whiskers: standard deviation", Self.left)) }
        lines += grid(scale, from: Self.left, width: barsWidth)
        for (group, (name, edges)) in groups.enumerated() {
            let begin = Self.left + groupWidth * Double(group)
            lines.append(text(name, begin + groupWidth / 2, bottom + 18, anchor: "middle"))
            lines.append(
                text("\(edges) edges", begin + groupWidth / 2, bottom + 33, anchor: "middle", color: "#777", size: 10))
            for (index, bar) in bars.enumerated() {
                let (value, x) = (bar.values[group], begin + barWidth * (Double(index) + 0.75))
                let y = scale.y(value)
                lines.append(
                    rectangle(
                        x, y, barWidth - 1, bottom - y, color(index),
                        title: "\(names[index]), \(name): \(String(format: "%.4f", value))"))
                if !bar.whiskers.isEmpty {
                    let (middle, reach) = (x + (barWidth - 1) / 2, bar.whiskers[group])
                    let (low, high) = (scale.y(max(0, value - reach)), scale.y(value + reach))
                    lines.append(line(middle, low, middle, high, "#222"))
                    for end in [low, high] { lines.append(line(middle - 2.5, end, middle + 2.5, end, "#222")) }
                }
            }
        }
        return lines
    }

    private func curveChart() -> [String] {
        let scale = Scale(largest: curves.flatMap { $0 }.max() ?? 0, top: Self.top, height: Self.height)
        var lines = [title("HitRate@k of all test edges", curveLeft)]
        lines += grid(scale, from: curveLeft, width: Self.curveWidth)
        func x(_ k: Int) -> Double {
            curveLeft + 10 + (Self.curveWidth - 20) * log(Double(k)) / log(Double(ks[ks.count - 1]))
        }
        for k in ks { lines.append(text("\(k)", x(k), bottom + 18, anchor: "middle")) }
        lines.append(text("k", curveLeft + Self.curveWidth / 2, bottom + 33, anchor: "middle", color: "#777", size: 10))
        // The first is the one under test: it is drawn last, above the others.
        for (index, curve) in curves.enumerated().reversed() {
            let points = zip(ks, curve).map { "\(number(x($0))),\(number(scale.y($1)))" }.joined(separator: " ")
            let stroke = index == 0 ? "2.5" : "1.5"
            lines.append(
                "<polyline points=\"\(points)\" fill=\"none\" stroke=\"\(color(index))\" stroke-width=\"\(stroke)\"/>")
            for (k, value) in zip(ks, curve) {
                lines.append(
                    "<circle cx=\"\(number(x(k)))\" cy=\"\(number(scale.y(value)))\" r=\"2.5\" fill=\"\(color(index))\"/>"
                )
            }
        }
        return lines
    }

    private func grid(_ scale: Scale, from left: Double, width: Double) -> [String] {
        scale.ticks.flatMap { tick in
            [
                line(left, scale.y(tick), left + width, scale.y(tick), tick == 0 ? "#888" : "#e5e5e5"),
                text(scale.label(tick), left - 7, scale.y(tick) + 4, anchor: "end"),
            ]
        }
    }

    private func color(_ index: Int) -> String { Self.colors[index % Self.colors.count] }

    private func title(_ text: String, _ x: Double) -> String {
        "<text x=\"\(number(x))\" y=\"22\" font-size=\"14\" font-weight=\"bold\">\(text)</text>"
    }

    private func subtitle(_ text: String, _ x: Double) -> String {
        "<text x=\"\(number(x))\" y=\"39\" font-size=\"11\" fill=\"#777\">\(text)</text>"
    }

    private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ color: String) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" stroke=\"\(color)\"/>"
    }

    private func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ color: String, title: String? = nil
    ) -> String {
        let start =
            "<rect x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(width))\" height=\"\(number(height))\" "
            + "fill=\"\(color)\""
        return title.map { "\(start)><title>\($0)</title></rect>" } ?? "\(start)/>"
    }

    private func text(
        _ text: String, _ x: Double, _ y: Double, anchor: String, color: String? = nil, size: Int? = nil
    ) -> String {
        let style = (color.map { " fill=\"\($0)\"" } ?? "") + (size.map { " font-size=\"\($0)\"" } ?? "")
        return "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\"\(style)>\(text)</text>"
    }

    private func number(_ value: Double) -> String { String(format: "%.1f", value) }
}

/// A scale from zero whose ticks are at round values.
private struct Scale {
    let ticks: [Double]
    private let top: Double
    private let height: Double

    init(largest: Double, top: Double, height: Double) {
        let step = [0.005, 0.01, 0.02, 0.05, 0.1].first { largest / $0 <= 7 } ?? 0.2
        let count = max(1, Int((largest / step).rounded(.up)))
        ticks = (0...count).map { Double($0) * step }
        self.top = top
        self.height = height
    }

    func y(_ value: Double) -> Double { top + height * (1 - value / ticks[ticks.count - 1]) }

    func label(_ tick: Double) -> String {
        String(format: ticks[1] < 0.01 ? "%.3f" : ticks[1] < 0.1 ? "%.2f" : "%.1f", tick)
    }
}
