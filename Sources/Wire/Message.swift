/// A message as a plain Swift value. Generated types conform.
///
/// Hot paths use its other face: ``MessageView`` reads and ``MessageBuilder`` writes the same message in place.
public protocol Message: Sendable, Hashable, CustomDebugStringConvertible {
    associatedtype View: MessageView where View.Value == Self
    associatedtype Builder: MessageBuilder where Builder.Value == Self

    /// The type at run time.
    static var descriptor: MessageDescriptor { get }

    /// A message with every field at its default.
    init()
    /// Copies a message out of an arena.
    init(_ view: View)
    /// Copies this message into a builder that nothing was set in.
    func copy(into builder: Builder)
}

/// A message in an arena, read in place: one pointer, valid until the arena is reset.
public protocol MessageView: RepeatedElement, CustomDebugStringConvertible {
    associatedtype Value: Message where Value.View == Self

    /// The message's memory, laid out as protobuf-c has it.
    var _pointer: UnsafeRawPointer { get }
    init(_pointer: UnsafeRawPointer)
}

/// A message that is being made in an arena, valid until the arena is reset. Strings and bytes are referred to, not
/// copied: they must live until the message was encoded.
public protocol MessageBuilder {
    associatedtype Value: Message where Value.Builder == Self

    /// The message's memory, laid out as protobuf-c has it.
    var _pointer: UnsafeMutableRawPointer { get }
    /// Where the parts of the message come from.
    var _arena: Arena { get }
    init(_pointer: UnsafeMutableRawPointer, _arena: Arena)
}

extension Message {
    /// Decodes an encoded message. Unknown fields are kept.
    ///
    /// - Throws: `malformed`, `invalidUTF8`, or `tooDeep` and `tooLarge` beyond the limits.
    @inlinable
    public init(decoding bytes: UnsafeRawBufferPointer, limits: DecodeLimits = DecodeLimits()) throws(WireError) {
        // The limit is one of what is held, which includes the ends of blocks that were too short for what came next.
        let arena = Arena.borrow(limit: limits.memory)
        defer { arena.giveBack() }
        self.init(try View(decoding: bytes, in: arena, limits: limits))
    }

    /// Decodes an encoded message. Unknown fields are kept.
    ///
    /// - Throws: `malformed`, `invalidUTF8`, or `tooDeep` and `tooLarge` beyond the limits.
    @inlinable
    public init(decoding bytes: [UInt8], limits: DecodeLimits = DecodeLimits()) throws(WireError) {
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(WireError) in
            try Self(decoding: UnsafeRawBufferPointer(bytes), limits: limits)
        }
    }

    /// The encoded message.
    @inlinable
    public func encoded() -> [UInt8] {
        let arena = Arena.borrow(limit: .max)
        defer { arena.giveBack() }
        let builder = Builder(in: arena)
        copy(into: builder)
        return arena.encoded(builder._pointer, as: Self.descriptor)
    }
}

extension Message {
    /// The fields that are set, in protobuf's text format on one line; cut after 4 kB. For people: it may change.
    public var debugDescription: String {
        let arena = Arena.borrow(limit: .max)
        defer { arena.giveBack() }
        let builder = Builder(in: arena)
        copy(into: builder)
        return builder.view.debugDescription
    }
}

extension MessageView {
    /// The fields that are set, in protobuf's text format on one line; cut after 4 kB. For people: it may change.
    public var debugDescription: String { DebugText.of(_pointer, Value.descriptor) }

    /// Decodes an encoded message into `arena`; `bytes` need not outlive the call. Unknown fields are kept.
    ///
    /// - Throws: `malformed`, `invalidUTF8`, or `tooDeep` and `tooLarge` beyond the limits or the arena's own.
    @inlinable
    public init(
        decoding bytes: UnsafeRawBufferPointer, in arena: Arena, limits: DecodeLimits = DecodeLimits()
    ) throws(WireError) {
        self.init(_pointer: try decode(bytes, as: Value.descriptor, in: arena, limits: limits))
    }

    /// The bytes that the message takes when encoded.
    @inlinable public var encodedSize: Int { FletchWire.encodedSize(_pointer) }

    /// The encoded message.
    @inlinable
    public func encoded() -> [UInt8] {
        let arena = Arena.borrow(limit: .max)
        defer { arena.giveBack() }
        return arena.encoded(_pointer, as: Value.descriptor)
    }
}

extension MessageBuilder {
    /// Starts a message with every field at its default.
    @inlinable
    public init(in arena: Arena) {
        self.init(_pointer: arena.makeMessage(Value.descriptor), _arena: arena)
    }

    /// The message as built so far.
    @inlinable public var view: Value.View { Value.View(_pointer: _pointer) }

    /// The bytes that the message takes when encoded.
    @inlinable public var encodedSize: Int { FletchWire.encodedSize(_pointer) }

    /// Encodes the message into its arena, behind `headroom` bytes that are left unwritten; valid until the arena is
    /// reset. Nil where the arena's byte limit would be passed.
    @inlinable
    public func encodedInArena(headroom: Int) -> UnsafeMutableRawBufferPointer? {
        _arena.encode(_pointer, as: Value.descriptor, headroom: headroom)
    }

    /// The encoded message.
    @inlinable
    public func encoded() -> [UInt8] { view.encoded() }
}
