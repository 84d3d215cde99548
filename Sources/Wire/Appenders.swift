/// The array of a repeated field while elements are appended to it.
@usableFromInline
struct GrowingArray {
    /// The field in its message: a count and a pointer.
    @usableFromInline let field: UnsafeMutableRawPointer
    @usableFromInline let arena: Arena
    @usableFromInline let stride: Int
    @usableFromInline var elements: UnsafeMutableRawPointer
    @usableFromInline var count: Int
    @usableFromInline var capacity: Int

    /// Goes on after what the field holds, with room for `capacity` more.
    @usableFromInline
    init(field: UnsafeMutableRawPointer, arena: Arena, stride: Int, capacity: Int) {
        self.field = field
        self.arena = arena
        self.stride = stride
        count = field.load(as: Int.self)
        self.capacity = count + capacity
        elements = field
        move()
    }

    /// Where the next element goes; it counts as appended.
    @inlinable
    mutating func next() -> UnsafeMutableRawPointer {
        if count == capacity { reserve(1) }
        let element = elements + count &* stride
        count &+= 1
        field.storeBytes(of: count, as: Int.self)
        return element
    }

    /// Makes room for `additional` elements; capacities double, so that appending stays cheap.
    @usableFromInline @inline(never)
    mutating func reserve(_ additional: Int) {
        guard count + additional > capacity else { return }
        capacity = max(count + additional, 2 * capacity, 8)
        move()
    }

    private mutating func move() {
        let old = field.load(fromByteOffset: 8, as: UnsafeRawPointer?.self)
        elements = arena.require(byteCount: capacity * stride)
        if let old { elements.copyMemory(from: old, byteCount: count * stride) }
        field.storeBytes(of: elements, toByteOffset: 8, as: UnsafeMutableRawPointer.self)
    }
}

/// Appends values to a repeated field of a message that is being built.
public struct ValueAppender<Element: RepeatedElement>: ~Copyable {
    @usableFromInline var array: GrowingArray

    /// For generated code: appends to the field at `_field`, with room for `capacity` more elements.
    @inlinable
    public init(_field: UnsafeMutableRawPointer, _arena: Arena, capacity: Int) {
        array = GrowingArray(field: _field, arena: _arena, stride: Element._stride, capacity: capacity)
    }

    /// Appends one value. Strings and bytes are referred to, not copied.
    @inlinable
    public mutating func append(_ value: Element) {
        Element._store(value, array.next())
    }

    /// Appends values in their order.
    @inlinable
    public mutating func append(contentsOf values: some Collection<Element>) {
        array.reserve(values.count)
        for value in values { append(value) }
    }
}

/// Appends messages to a repeated field of a message that is being built.
public struct MessageAppender<Builder: MessageBuilder>: ~Copyable {
    @usableFromInline var array: GrowingArray
    @usableFromInline let type: MessageDescriptor
    /// Zeroed memory for the messages to come, and how many it holds.
    @usableFromInline var next: UnsafeMutableRawPointer
    @usableFromInline var available: Int

    /// For generated code: appends to the field at `_field`, with room for `capacity` more messages.
    @inlinable
    public init(_field: UnsafeMutableRawPointer, _arena: Arena, capacity: Int) {
        array = GrowingArray(
            field: _field, arena: _arena, stride: MemoryLayout<UnsafeRawPointer>.stride, capacity: capacity)
        type = Builder.Value.descriptor
        next = _arena.makeZeroed(byteCount: capacity * type.size)
        available = capacity
    }

    /// Appends a message with every field at its default, to be filled in.
    @inlinable
    public mutating func append() -> Builder {
        let slot = array.next()
        if available == 0 { refill() }
        let message = next
        next += type.size
        available &-= 1
        message.storeBytes(of: type.handle, as: UnsafeRawPointer.self)
        slot.storeBytes(of: message, as: UnsafeMutableRawPointer.self)
        return Builder(_pointer: message, _arena: array.arena)
    }

    /// Sorts the field's messages, those that it held before, too.
    @inlinable
    public mutating func sort(by areInIncreasingOrder: (Builder.Value.View, Builder.Value.View) -> Bool) {
        var messages = UnsafeMutableBufferPointer(
            start: array.elements.assumingMemoryBound(to: UnsafeRawPointer.self), count: array.count)
        messages.sort { areInIncreasingOrder(Builder.Value.View(_pointer: $0), Builder.Value.View(_pointer: $1)) }
    }

    @usableFromInline @inline(never)
    mutating func refill() {
        available = array.capacity &- array.count &+ 1
        next = array.arena.makeZeroed(byteCount: available * type.size)
    }
}
