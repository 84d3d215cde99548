/// Holds a message elsewhere, so that one can contain messages of its own type; nothing is held where there is none.
@propertyWrapper
public struct Indirect<Value: Sendable & Hashable>: Sendable, Hashable {
    private enum Box: Sendable, Hashable {
        case empty
        indirect case value(Value)
    }

    private var box: Box

    /// Holds `wrappedValue`.
    public init(wrappedValue: Value?) { box = wrappedValue.map { .value($0) } ?? .empty }

    /// The message, as if it were held in place.
    public var wrappedValue: Value? {
        get {
            switch box {
            case .empty: nil
            case .value(let value): value
            }
        }
        set { self = Self(wrappedValue: newValue) }
    }
}
