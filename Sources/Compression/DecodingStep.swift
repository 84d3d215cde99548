/// What one step of a decoder did. A step with room to write that neither consumed nor produced wants more input.
public struct DecodingStep: Sendable, Hashable {
    /// Bytes taken from the front of the input.
    public var consumed: Int
    /// Bytes written to the front of the output.
    public var produced: Int
    /// Whether the data ended here: a gzip member, a zlib stream, a Zstandard frame.
    public var isAtEnd: Bool

    public init(consumed: Int, produced: Int, isAtEnd: Bool) {
        self.consumed = consumed
        self.produced = produced
        self.isAtEnd = isAtEnd
    }
}
