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
    /// An enumeration's value that the schema does not have: the field, the number, and what to set instead.
    case unknownValue(String, Int32, String)
    /// A field asks for what a version of a table has not: the reason for programs, and for people.
    case tableLacks(String, String, String, table: String, version: String)

    var code: StatusCode {
        switch self {
        case .noTable: .unavailable
        case .wrongField, .unknownValue, .nothingAsked, .askedTwice: .invalidArgument
        case .unknownProduct: .notFound
        case .tableLacks: .failedPrecondition
        }
    }

    var message: String {
        switch self {
        case .noTable: "no table of related products is loaded; publish one with 'fletch publish'"
        case .wrongField(let field, let reason): "\(field): \(reason)"
        case .unknownValue(let field, let number, let remedy): "\(field): \(number) is not known; set \(remedy)"
        case .tableLacks(let field, _, let text, _, _): "\(field): \(text)"
        case .nothingAsked: "product_id, product_ids, source_vector and new_product are all empty; set one of them"
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
        case .unknownValue(let field, let number, let remedy):
            .badRequest([field], "\(number) is not known; set \(remedy)")
        case .tableLacks(let field, let reason, _, let table, let version):
            .errorInfo(reason, metadata: ["field": field, "table": table, "tableVersion": version])
        case .nothingAsked: .badRequest(["product_id", "product_ids", "source_vector", "new_product"], message)
        case .askedTwice(let fields): .badRequest(fields, message)
        case .unknownProduct(let id, let table, let version):
            .errorInfo("PRODUCT_NOT_FOUND", metadata: ["productId": id, "table": table, "tableVersion": version])
        }
    }
}
