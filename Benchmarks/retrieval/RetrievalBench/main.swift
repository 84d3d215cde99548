// Builds the index of a matrix as `fletch publish` does and prints what its searches take, as lines of JSON.
//
//     retrieval-bench ROWS QUERIES [--lists N] [--parallel-weight W]
//
// ROWS is a .npy file, or a safetensors file whose tensor `target` is taken; QUERIES likewise, with `source`. Times are
// microseconds of the process's CPU time for a query, one thread, ten rows, the best of several rounds.

internal import Glibc
internal import LinearAlgebra
internal import Retrieval

private let limit = 10
private let rounds = 5

/// The time of a query, and the rows found for each.
private func measure(_ index: MeasuredIndex, _ way: MeasuredIndex.Way, _ queries: Vectors, rounds: Int)
    -> (microseconds: Double, found: [[UInt32]])
{
    var best = Double.infinity
    var found: [[UInt32]] = []
    queries.rows.withUnsafeBufferPointer { vectors in
        index.search(way, for: vectors, limit: limit) { found.append($1.map(\.row)) }
        for _ in 0..<rounds {
            let start = processTime()
            index.search(way, for: vectors, limit: limit) { _, _ in }
            best = min(best, (processTime() - start) / Double(queries.count) * 1e6)
        }
    }
    return (best, found)
}

private func recall(_ found: [[UInt32]], _ truth: [[UInt32]]) -> Double {
    let hits = zip(found, truth).reduce(0) { $0 + Set($1.0).intersection($1.1).count }
    return Double(hits) / Double(truth.count * limit)
}

private func rounded(_ value: Double, _ digits: Double) -> Double { (value * digits).rounded() / digits }

private func run() throws {
    var arguments = Array(CommandLine.arguments.dropFirst())
    func option(_ name: String) -> String? {
        guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
        let value = arguments[index + 1]
        arguments.removeSubrange(index...index + 1)
        return value
    }
    let listCount = option("--lists").flatMap { Int($0) }
    let weight = option("--parallel-weight").flatMap { Float($0) }
    guard arguments.count == 2 else { throw Failure("give the files of the rows and of the queries") }
    let rows = try Vectors.read(arguments[0], tensor: "target")
    let all = try Vectors.read(arguments[1], tensor: "source")
    guard rows.dimension == all.dimension else { throw Failure("rows and queries differ in dimension") }
    try rows.rows.withUnsafeBufferPointer { vectors in
        Parallelism.threads = 1
        var start = processTime()
        guard let index = MeasuredIndex(vectors, dimension: rows.dimension) else {
            throw Failure("\(arguments[0]): holds a vector that is too long")
        }
        let coded = processTime() - start
        start = processTime()
        all.rows.withUnsafeBufferPointer {
            index.buildLists(for: $0, listCount: listCount, parallelWeight: weight)
        }
        let listed = processTime() - start
        print(
            """
            {"rows": \(rows.count), "dimension": \(rows.dimension), "codes s": \(rounded(coded, 10)), \
            "lists s": \(rounded(listed, 10)), "lists": \(index.listCount), "codes MB": \(index.bytes.codes / 1_000_000), \
            "lists MB": \(index.bytes.lists / 1_000_000)}
            """)
        sweep(index, all)
    }
}

private func sweep(_ index: MeasuredIndex, _ all: Vectors) {
    let few = all.spread(60)
    let scan = measure(index, .scan, few, rounds: rounds)
    let coded = measure(index, .quantizedScan, few, rounds: rounds)
    precondition(scan.found == coded.found, "the scan of codes is not exact")
    print(
        """
        {"exact": {"float us": \(rounded(scan.microseconds, 10)), "8-bit us": \(rounded(coded.microseconds, 10))}}
        """)
    let queries = all.spread(1000)
    let truth = measure(index, .quantizedScan, queries, rounds: 0).found
    var points: [(time: Double, recall: Double, probes: Int, depth: Int)] = []
    for depth in [20, 30, 45, 65, 95, 140, 200] {
        var (probes, last, stuck) = (1, 0.0, 0)
        while probes <= index.listCount, stuck < 3, last < 0.993 {
            let result = measure(index, .invertedLists(probes: probes, depth: depth), queries, rounds: 1)
            let reached = recall(result.found, truth)
            points.append((result.microseconds, reached, probes, depth))
            stuck = reached - last < 0.0005 ? stuck + 1 : 0
            last = reached
            probes = max(probes + 1, probes * 4 / 3)
        }
    }
    for goal in [0.90, 0.95, 0.99] {
        // The three that seem cheapest, measured well.
        let candidates = points.filter { $0.recall >= goal }.sorted { $0.time < $1.time }.prefix(3)
        let measured = candidates.map { point in
            let way = MeasuredIndex.Way.invertedLists(probes: point.probes, depth: point.depth)
            return (measure(index, way, queries, rounds: rounds).microseconds, point)
        }
        guard let (time, point) = measured.min(by: { $0.0 < $1.0 }) else { continue }
        print(
            """
            {"goal": \(goal), "us": \(rounded(time, 10)), "recall": \(rounded(point.recall, 10_000)), \
            "probes": \(point.probes), "depth": \(point.depth)}
            """)
    }
    all.rows.withUnsafeBufferPointer { vectors in
        guard let chosen = index.chosen(for: vectors, recall: 0.99) else { return print(#"{"publish": null}"#) }
        let way = MeasuredIndex.Way.invertedLists(probes: chosen.probes, depth: chosen.depth)
        print(
            """
            {"publish": {"asked": 0.99, "recall": \(rounded(chosen.recall, 10_000)), "probes": \(chosen.probes), \
            "depth": \(chosen.depth), "us": \(rounded(measure(index, way, queries, rounds: rounds).microseconds, 10))}}
            """)
    }
}

try run()
