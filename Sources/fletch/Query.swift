internal import ArgumentParser
internal import FletchJSON
internal import FletchSchema
internal import FletchServiceSchema
internal import FletchWire
internal import Foundation
internal import Tables

struct Query: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a server.", subcommands: [QueryRelated.self, QueryEdges.self])
}

struct QueryRelated: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "related",
        abstract: "Ask what a product, a cart, a source vector or a new product leads to.",
        discussion: """
              fletch query related --product phone --limit 5
              fletch query related --product phone --product tablet --exclude case-17
              fletch query related --product phone --allow-category cases --max-per-category 2 --explain
              fletch query related --product phone --similar
              fletch query related --feature brand=acme --leads-to case-17
            """)

    @OptionGroup(title: "Server") var client: ClientArguments

    @Option(help: ArgumentHelp("A product's id; given several times, they are a cart.", valueName: "id"))
    var product: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("A source vector instead: coordinates separated by commas.", valueName: "x,y,...")
    )
    var vector: String?

    @Option(
        help: ArgumentHelp(
            "A new product instead: one of its features, named as the model was trained; may be repeated.",
            valueName: "name=value"))
    var feature: [String] = []

    @Option(help: ArgumentHelp("A known product that the new one leads to; may be repeated.", valueName: "id"))
    var leadsTo: [String] = []

    @Option(help: ArgumentHelp("A known product that leads to the new one; may be repeated.", valueName: "id"))
    var follows: [String] = []

    @Flag(help: "Ask for similar products, which lead to the same, instead of related ones.")
    var similar = false

    @Option(help: "Items wanted; the server's default, 10, where not given.")
    var limit: UInt32 = 0

    @Option(help: ArgumentHelp("An id that must not be in the answer; may be repeated.", valueName: "id"))
    var exclude: [String] = []

    @Option(help: ArgumentHelp("An id that the customer has already; may be repeated.", valueName: "id"))
    var bought: [String] = []

    @Option(
        help: ArgumentHelp("Only products of this category; may be repeated, for any of them.", valueName: "name"))
    var allowCategory: [String] = []

    @Option(help: ArgumentHelp("No products of this category; may be repeated.", valueName: "name"))
    var denyCategory: [String] = []

    @Option(help: "The most items of one category; 0: any number.")
    var maxPerCategory: UInt32 = 0

    @Option(help: "What ranks the answer; the best that the table has where not given.")
    var ranker: RankerArgument?

    @Flag(help: "Take no approximate way.")
    var exact = false

    @Flag(help: "Tell why each product is in the answer.")
    var explain = false

    func run() async throws {
        let request = try request()
        let response = try await client.ask { try await RelatedProductsClient($0).related(request, options: $1) }
        if client.json {
            try printJSON(response)
        } else {
            try printTable(response)
        }
    }

    private func request() throws -> RelatedRequest {
        var request = RelatedRequest(limit: limit, excludeProductIds: exclude)
        if product.count == 1 {
            request.productID = product[0]
        } else {
            request.productIds = product
        }
        request.sourceVector = try coordinates()
        if !feature.isEmpty || !leadsTo.isEmpty || !follows.isEmpty {
            request.newProduct = NewProduct(
                features: try features(), leadsToProductIds: leadsTo, followsProductIds: follows)
        }
        if similar { request.relation = .similar }
        request.exact = exact
        if let ranker { request.ranker = ranker.inSchema }
        request.explain = explain
        request.boughtProductIds = bought
        request.allowCategories = allowCategory
        request.denyCategories = denyCategory
        request.maxPerCategory = maxPerCategory
        return request
    }

    private func coordinates() throws -> [Float] {
        guard let vector else { return [] }
        return try vector.split(separator: ",", omittingEmptySubsequences: false).map {
            guard let coordinate = Float($0.trimmingCharacters(in: .whitespaces)) else {
                throw CommandError("--vector: '\($0)' is not a number; separate numbers by commas")
            }
            return coordinate
        }
    }

    private func features() throws -> [String: String] {
        var features: [String: String] = [:]
        for text in feature {
            guard let separator = text.firstIndex(of: "="), separator != text.startIndex else {
                throw CommandError("--feature '\(text)' has no name; write NAME=VALUE")
            }
            let name = String(text[..<separator])
            guard features.updateValue(String(text[text.index(after: separator)...]), forKey: name) == nil else {
                throw CommandError("--feature names '\(name)' twice; separate several values by |")
            }
        }
        return features
    }

    private func printTable(_ response: RelatedResponse) throws {
        let what =
            !product.isEmpty ? product.joined(separator: ", ") : vector != nil ? "the vector" : "the new product"
        let end = response.items.isEmpty ? " nothing: the table has no other product to offer" : ":"
        let verb = similar ? "is like" : "leads to"
        try say("\(what.inOneLine) \(verb) (table version \(response.tableVersion), \(response.path.inWords))\(end)")
        if explain, !response.items.isEmpty { try say("     score     ranker   forward   reverse     paths  product") }
        for item in response.items {
            let category = item.explanation.map { $0.category.isEmpty ? "" : "  [\($0.category.inOneLine)]" } ?? ""
            try say(
                String(format: "%10.4f  ", item.score) + (item.explanation?.inColumns ?? "") + item.productID.inOneLine
                    + category)
        }
    }
}

/// The values of `--ranker`.
enum RankerArgument: String, ExpressibleByArgument, CaseIterable {
    case innerProduct = "inner-product"
    case hybrid

    var inSchema: Ranker { self == .hybrid ? .hybrid : .innerProduct }
}

extension RetrievalPath {
    /// How an answer was found.
    fileprivate var inWords: String {
        switch self {
        case .list: "from its list"
        case .scan: "by a scan"
        case .quantizedScan: "by a scan over 8-bit codes"
        case .invertedLists: "approximately, from inverted lists"
        default: "by way \(rawValue)"
        }
    }
}

extension Explanation {
    /// The scores below the headings of the table.
    fileprivate var inColumns: String {
        let name = ranker == .hybrid ? "hybrid" : "product"
        let back = reverseScore.map { String(format: "%8.4f", $0) } ?? "       -"
        return name.leftPadded(to: 9) + String(format: "  %8.4f  ", forwardScore) + back
            + String(format: "  %8.4f  ", pathScore)
    }
}

extension String {
    fileprivate func leftPadded(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}

struct QueryEdges: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edges",
        abstract: "Ask how much products lead to others, and back.",
        discussion: """
              fletch query edges --source phone --target case
              fletch query edges --source phone --target case --source phone --target tablet
            """)

    @OptionGroup(title: "Server") var client: ClientArguments

    @Option(help: ArgumentHelp("Where an edge begins; may be repeated, with --target as often.", valueName: "id"))
    var source: [String]

    @Option(help: ArgumentHelp("Where an edge ends; the first belongs to the first --source.", valueName: "id"))
    var target: [String]

    func validate() throws {
        guard source.count == target.count else {
            throw ValidationError(
                "\(source.count) of --source and \(target.count) of --target; give one of each for every edge")
        }
    }

    func run() async throws {
        let request = ScoreEdgesRequest(
            edges: zip(source, target).map { ProductEdge(sourceProductID: $0, targetProductID: $1) })
        let response = try await client.ask { try await RelatedProductsClient($0).scoreEdges(request, options: $1) }
        if client.json { return try printJSON(response) }
        try say("table version \(response.tableVersion)\n   forward   reverse  edge")
        for (edge, score) in zip(request.edges, response.scores) {
            try say(
                String(format: "%10.4f%10.4f  ", score.forward, score.reverse)
                    + "\(edge.sourceProductID.inOneLine) -> \(edge.targetProductID.inOneLine)")
        }
    }
}

private func printJSON(_ message: some Message) throws {
    var options = JSONEncodingOptions()
    options.isPretty = true
    options.alwaysPrintFieldsWithNoPresence = true
    try say(message.jsonString(options: options))
}
