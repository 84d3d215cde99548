/// Why an edge file cannot be used. The description is one line that names the file, the line, the reason and the
/// remedy.
public struct EdgeFileError: Error, Hashable, CustomStringConvertible, Sendable {
    /// The path as it was given.
    public var file: String
    /// The line, counted from 1, or nil when the whole file is at fault.
    public var line: Int?
    /// What is wrong.
    public var reason: String
    /// What to do about it.
    public var remedy: String

    public var description: String {
        file + (line.map { ":\($0)" } ?? "") + ": \(reason); \(remedy)"
    }
}
