/// What the generator cannot do with its input: where, why, and what to do instead.
struct GeneratorError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
