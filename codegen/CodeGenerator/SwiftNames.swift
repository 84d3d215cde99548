/// The Swift names of one scope, each with what it stands for in the schema: no two may be the same.
struct SwiftNames {
    private var owners: [String: String] = [:]
    private let remedy: String

    init(remedy: String = "rename one of them") { self.remedy = remedy }

    /// Takes a name.
    ///
    /// - Throws: Where something else has it already.
    mutating func claim(_ name: String, for owner: String, in file: String) throws(GeneratorError) {
        if let other = owners.updateValue(owner, forKey: name) {
            throw GeneratorError("\(file): \(other) and \(owner) are both '\(name)' in Swift; \(remedy)")
        }
    }
}
