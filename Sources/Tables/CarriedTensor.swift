/// A tensor in memory that goes from one file to another as it is.
public struct CarriedTensor: Sendable {
    /// Its name, type and shape.
    public let spec: TensorSpec
    /// Its elements, little-endian and row-major.
    let bytes: [UInt8]

    /// Takes elements, of which there must be as many as the shape says.
    public init<Element: TensorElement>(_ name: String, shape: [Int], _ elements: [Element]) {
        spec = TensorSpec(name, Element.dataType, shape: shape)
        bytes = elements.withUnsafeBytes { Array($0) }
        precondition(bytes.count == spec.byteCount, "tensor '\(name)' has not the elements of its shape")
    }

    /// Copies a tensor of a mapped file.
    init(_ tensor: TensorView) {
        spec = TensorSpec(tensor.name, tensor.dataType, shape: tensor.shape)
        bytes = Array(tensor.bytes)
    }

    /// The elements, where they are of the type `Element`; nil otherwise.
    public func elements<Element: TensorElement>(as type: Element.Type) -> [Element]? {
        guard spec.dataType == Element.dataType else { return nil }
        let total = bytes.count / MemoryLayout<Element>.stride
        return Array(unsafeUninitializedCapacity: total) { elements, count in
            UnsafeMutableRawBufferPointer(elements).copyBytes(from: bytes)
            count = total
        }
    }
}
