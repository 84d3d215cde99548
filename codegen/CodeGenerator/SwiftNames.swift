/// The names that files of one run give to what others see, each with what it stands for in the schema: no two may be
/// the same.
struct SwiftNames {
    private var owners: [String: String] = [:]
    /// Where they would be one, and what to do about it.
    private let place: String
    private let remedy: String

    /// Types outside other types.
    static let types = SwiftNames(
        place: "in Swift",
        remedy: "give one of the files another 'option swift_prefix', or generate them into separate modules")
    /// Files that are written.
    static let files = SwiftNames(
        place: "among the files written", remedy: "give one of them another name, or choose another FileNaming")

    private init(place: String, remedy: String) {
        self.place = place
        self.remedy = remedy
    }

    /// Takes a name.
    ///
    /// - Throws: Where something else has it already.
    mutating func claim(_ name: String, for owner: String, in file: String) throws(GeneratorError) {
        if let other = owners.updateValue(owner, forKey: name) {
            throw GeneratorError("\(file): \(other) and \(owner) are both '\(name)' \(place); \(remedy)")
        }
    }
}
