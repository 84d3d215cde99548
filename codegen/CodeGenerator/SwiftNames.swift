/// The names that files of one run give to what others see, each with what it stands for in the schema: no two may be
/// the same.
struct SwiftNames {
    private var owners: [String: String] = [:]
    private let remedy: String

    /// Types outside other types.
    static let types = SwiftNames(
        remedy: "give one of the files another 'option swift_prefix', or generate them into separate modules")
    /// Files that are written.
    static let files = SwiftNames(remedy: "give one of them another name, or use FileNaming=PathToUnderscores")

    private init(remedy: String) { self.remedy = remedy }

    /// Takes a name.
    ///
    /// - Throws: Where something else has it already.
    mutating func claim(_ name: String, for owner: String, in file: String) throws(GeneratorError) {
        if let other = owners.updateValue(owner, forKey: name) {
            throw GeneratorError("\(file): \(other) and \(owner) are both '\(name)' in Swift; \(remedy)")
        }
    }
}
