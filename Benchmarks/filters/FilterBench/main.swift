// Times look-ups, searches and filters over a published table in process, on one thread, and prints a table.
//
//     filter-bench STORE [QUERIES]
//
// The table's categories `half`, `twentieth`, `thousandth` and `one` hold these shares of the products and a single one
// (run.sh publishes such a table). Times are microseconds of the process's CPU time for a query, the best of several
// rounds; found: the rows of an answer, on average, where ten are asked for.

internal import Glibc
internal import Retrieval
internal import Tables

private let limit = 10
private let rounds = 5
private let shares = ["half", "twentieth", "thousandth", "one"]

/// What is asked with.
private enum Question: CaseIterable {
    case product, vector, cart, similar
}

/// What an answer may hold.
private enum Filter {
    case none
    case bought
    case only(String)
    case without(String)
    case cap

    var name: String {
        switch self {
        case .none: "no filter"
        case .bought: "100 bought"
        case .only(let category): "only '\(category)'"
        case .without(let category): "without '\(category)'"
        case .cap: "two of each category"
        }
    }
}

private func processTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

private struct Bench {
    let table: RelatedTable
    let queries: Int
    private let scratch = RelatedScratch()
    /// The categories by their names, so that queries allocate nothing.
    private let categories: [String: UInt32]

    init(table: RelatedTable, queries: Int) {
        self.table = table
        self.queries = queries
        let known = shares.compactMap { name in
            Array(name.utf8).withUnsafeBytes { table.category(named: $0) }.map { (name, $0) }
        }
        categories = Dictionary(uniqueKeysWithValues: known)
    }

    /// A row of the table for each query, spread over all of it.
    private func row(_ number: Int) -> UInt32 { UInt32(number &* 7919 % table.count) }

    private func restrict(_ filter: Filter) {
        switch filter {
        case .none, .cap: break
        case .bought: for step in 0..<100 { scratch.exclude(UInt32(step * 31 % table.count)) }
        case .only(let name):
            table.allowOnly(scratch)
            if let category = categories[name] { table.allow(category, scratch) }
        case .without(let name):
            if let category = categories[name] { table.deny(category, scratch) }
        }
    }

    /// Asks once; the rows found, and the way.
    private func ask(_ number: Int, _ question: Question, _ filter: Filter) -> RelatedTable.Path? {
        scratch.reset()
        restrict(filter)
        var query = RelatedQuery(limit: limit)
        if case .cap = filter { query.maxPerCategory = 2 }
        switch question {
        case .product: return table.find(product: row(number), query, scratch)
        case .similar:
            query.relation = .similar
            return table.find(product: row(number), query, scratch)
        case .cart:
            for step in 0..<3 { scratch.addToCart(row(number + step)) }
            return table.findCart(query, scratch)
        case .vector: return try? table.find(vector: table.sourceVector(of: row(number)), query, scratch)
        }
    }

    func measure(_ question: Question, _ filter: Filter) {
        var (found, paths): (Int, [RelatedTable.Path?: Int]) = (0, [:])
        for number in 0..<queries {
            let path = ask(number, question, filter)
            found += scratch.results.count
            paths[path, default: 0] += 1
        }
        var best = Double.infinity
        for _ in 0..<rounds {
            let start = processTime()
            for number in 0..<queries { _ = ask(number, question, filter) }
            best = min(best, (processTime() - start) / Double(queries) * 1e6)
        }
        let ways = paths.sorted { $0.value > $1.value }.map { way, count in
            "\(way.map { "\($0)" } ?? "none") \(count * 100 / queries) %"
        }
        let time = padded("\((best * 100).rounded() / 100)", 12)
        print(
            "\(padded("\(question)", 9))\(padded(filter.name, 24))\(time)"
                + "\(padded("\(Double(found) / Double(queries))", 8))  \(ways.joined(separator: ", "))")
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}

private func run() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard let store = arguments.first, let queries = Int(arguments.dropFirst().first ?? "1000"), queries > 0 else {
        print("filter-bench STORE [QUERIES]")
        exit(2)
    }
    let table = try RelatedTable(Store(path: store).open("related"))
    let bench = Bench(table: table, queries: queries)
    print("\(table.count) products, \(table.dimension) coordinates, lists of \(table.listLength)")
    print("asked    filter                  microseconds found   ways")
    for question in Question.allCases {
        let filters = [.none, .bought] + shares.map { Filter.only($0) } + [.without("half"), .cap]
        for filter in filters { bench.measure(question, filter) }
    }
}

try run()
