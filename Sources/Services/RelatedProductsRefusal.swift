internal import FletchRPC
internal import FletchRichErrors

/// Why a request for related products is not answered. Each case decides status, words and details in one place; the
/// requests of a batch take status and words alone.
enum RelatedProductsRefusal: Error {
    case noTable
    /// A field's value is wrong: its path and what is wrong with it.
    case wrongField(String, String)
    case nothingAsked
    /// Fields that exclude each other.
    case askedTwice([String])
    /// An id that a version of a table does not hold.
    case unknownProduct(String, table: String, version: String)

    var code: StatusCode {
        switch self {
        case .noTable: .unavailable
        case .wrongField, .nothingAsked, .askedTwice: .invalidArgument
        case .unknownProduct: .notFound
        }
    }

    var message: String {
        switch self {
        case .noTable: "no table of related products is loaded; publish one with 'fletch publish'"
        case .wrongField(let field, let reason): "\(field): \(reason)"
        case .nothingAsked: "product_id, product_ids and source_vector are all empty; set one of them"
        case .askedTwice(let fields): "\(fields.joined(separator: " and ")) are set; set exactly one of them"
        case .unknownProduct(let id, let table, let version):
            "product '\(id)' is not in table \(table), version \(version)"
        }
    }

    var error: RPCError { RPCError(code, message, details: [detail]) }

    private var detail: ErrorDetail {
        switch self {
        case .noTable: .errorInfo("TABLE_NOT_LOADED")
        case .wrongField(let field, let reason): .badRequest([field], reason)
        case .nothingAsked: .badRequest(["product_id", "product_ids", "source_vector"], message)
        case .askedTwice(let fields): .badRequest(fields, message)
        case .unknownProduct(let id, let table, let version):
            .errorInfo("PRODUCT_NOT_FOUND", metadata: ["productId": id, "table": table, "tableVersion": version])
        }
    }
}
