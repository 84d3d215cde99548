/// Holds a value elsewhere, so that a message can contain messages of its own type.
@propertyWrapper
public struct Indirect<Value: Sendable & Hashable>: Sendable, Hashable {
    private indirect enum Box: Sendable, Hashable {
        case value(Value)
    }

    private var box: Box

    /// Holds `wrappedValue`.
    public init(wrappedValue: Value) { box = .value(wrappedValue) }

    /// The value, as if it were held in place.
    public var wrappedValue: Value {
        get {
            switch box {
            case .value(let value): value
            }
        }
        set { box = .value(newValue) }
    }
}
