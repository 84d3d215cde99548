/// What can be an element of a repeated field in an arena.
public protocol RepeatedElement {
    /// Bytes from one element to the next.
    static var _stride: Int { get }
    static func _load(_ element: UnsafeRawPointer) -> Self
    static func _store(_ value: Self, _ element: UnsafeMutableRawPointer)
}

/// An element that is in memory as Swift has it.
public protocol PlainElement: RepeatedElement, BitwiseCopyable {}

extension PlainElement {
    @inlinable public static var _stride: Int { MemoryLayout<Self>.stride }
    @inlinable public static func _load(_ element: UnsafeRawPointer) -> Self { element.load(as: Self.self) }
    @inlinable
    public static func _store(_ value: Self, _ element: UnsafeMutableRawPointer) {
        element.storeBytes(of: value, as: Self.self)
    }
}

extension Float: PlainElement {}
extension Double: PlainElement {}
extension Int32: PlainElement {}
extension Int64: PlainElement {}
extension UInt32: PlainElement {}
extension UInt64: PlainElement {}
extension WireBytes: PlainElement {}

/// protobuf-c has a bool as an int.
extension Bool: RepeatedElement {
    @inlinable public static var _stride: Int { MemoryLayout<Int32>.stride }
    @inlinable public static func _load(_ element: UnsafeRawPointer) -> Bool { element.load(as: Int32.self) != 0 }
    @inlinable
    public static func _store(_ value: Bool, _ element: UnsafeMutableRawPointer) {
        element.storeBytes(of: value ? 1 : 0, as: Int32.self)
    }
}

extension MessageView {
    @inlinable public static var _stride: Int { MemoryLayout<UnsafeRawPointer>.stride }
    @inlinable
    public static func _load(_ element: UnsafeRawPointer) -> Self {
        Self(_pointer: element.load(as: UnsafeRawPointer.self))
    }
    @inlinable
    public static func _store(_ value: Self, _ element: UnsafeMutableRawPointer) {
        element.storeBytes(of: value._pointer, as: UnsafeRawPointer.self)
    }
}

/// A repeated field in an arena, read in place: a count and a pointer, valid until the arena is reset.
@frozen
public struct RepeatedView<Element: RepeatedElement>: RandomAccessCollection {
    /// The number of elements.
    public let count: Int
    /// The first element's memory; may be anything where there are none.
    public let baseAddress: UnsafeRawPointer?

    @inlinable
    init(count: Int, baseAddress: UnsafeRawPointer?) {
        self.count = count
        self.baseAddress = baseAddress
    }

    /// No elements.
    @inlinable
    public init() { self.init(count: 0, baseAddress: nil) }

    @inlinable public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { count }

    @inlinable
    public subscript(index: Int) -> Element {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "index out of range")
        return Element._load(baseAddress.unsafelyUnwrapped + index &* Element._stride)
    }
}

extension RepeatedView {
    /// The elements transformed, in an array of just their number.
    @inlinable
    public func map<Transformed>(_ transform: (Element) -> Transformed) -> [Transformed] {
        guard count > 0 else { return [] }
        return [Transformed](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            for index in 0..<count { buffer.initializeElement(at: index, to: transform(self[index])) }
            initializedCount = count
        }
    }
}

extension RepeatedView where Element: PlainElement {
    /// Refers to elements without copying them: they must live until the message was encoded.
    @inlinable
    public init(_ elements: UnsafeBufferPointer<Element>) {
        self.init(count: elements.count, baseAddress: elements.baseAddress)
    }

    /// The elements as the standard library's pointer type.
    @inlinable
    public var buffer: UnsafeBufferPointer<Element> {
        UnsafeBufferPointer(start: baseAddress?.assumingMemoryBound(to: Element.self), count: count)
    }
}

extension Array where Element: PlainElement {
    /// Copies a repeated field.
    @inlinable
    public init(_ view: RepeatedView<Element>) {
        guard view.count > 0 else {
            self = []
            return
        }
        self.init(view.buffer)
    }
}
