internal import Synchronization

/// A value that is set once and read from any thread. What is set later is dropped.
final class OnceCell<Value: Sendable>: Sendable {
    private final class Box: Sendable {
        let value: Value
        init(_ value: Value) { self.value = value }
    }

    private let box = AtomicLazyReference<Box>()

    var value: Value? { box.load()?.value }

    func set(_ value: Value) { _ = box.storeIfNil(Box(value)) }
}
