internal import Synchronization

/// A tensor to be written: its name, type and shape.
public struct TensorSpec: Sendable {
    /// The tensor's name.
    public let name: String
    /// The type of its elements.
    public let dataType: DataType
    /// Its dimensions.
    public let shape: [Int]

    /// Describes a tensor.
    public init(_ name: String, _ dataType: DataType, shape: [Int]) {
        precondition(shape.allSatisfy { $0 >= 0 }, "a tensor cannot have a negative size")
        self.name = name
        self.dataType = dataType
        self.shape = shape
    }

    /// The size of the tensor in bytes.
    public var byteCount: Int { shape.reduce(dataType.size, *) }
}

/// Writes a safetensors file whose tensors are known by name, type and shape beforehand, in pieces and in any order.
public final class SafetensorsWriter: Sendable {
    private let file: OpenFile
    private let header: SafetensorsHeader
    private let written = Atomic<Int>(0)

    /// Makes the file, takes its disk space and writes its header.
    init(_ file: OpenFile, tensors: [TensorSpec], metadata: [String: String]) throws(TableError) {
        precondition(Set(tensors.map(\.name)).count == tensors.count, "two tensors of one name")
        self.file = file
        header = SafetensorsHeader(tensors: tensors, metadata: metadata)
        try file.allocate(size: header.size + (header.entries.last?.range.upperBound ?? 0))
        try file.write(header.encoded(), at: 0)
    }

    /// Writes elements of a tensor, from element number `start` on; several threads may write different parts at once.
    public func write<Element: TensorElement>(
        _ elements: UnsafeBufferPointer<Element>, to tensor: String, from start: Int = 0
    ) throws(TableError) {
        guard let entry = header.entries.first(where: { $0.name == tensor }) else {
            preconditionFailure("the file has no tensor '\(tensor)'")
        }
        precondition(entry.dataType == Element.dataType, "tensor '\(tensor)' is \(entry.dataType)")
        try write(UnsafeRawBufferPointer(elements), to: entry, at: start * MemoryLayout<Element>.stride)
    }

    /// Writes elements of a tensor, from element number `start` on; several threads may write different parts at once.
    public func write<Element: TensorElement>(
        _ elements: [Element], to tensor: String, from start: Int = 0
    ) throws(TableError) {
        let result = elements.withUnsafeBufferPointer { elements in
            Result { () throws(TableError) in try write(elements, to: tensor, from: start) }
        }
        try result.get()
    }

    /// Writes a whole tensor as it is.
    public func write(_ tensor: CarriedTensor) throws(TableError) {
        guard let entry = header.entries.first(where: { $0.name == tensor.spec.name }) else {
            preconditionFailure("the file has no tensor '\(tensor.spec.name)'")
        }
        let result = tensor.bytes.withUnsafeBytes { bytes in
            Result { () throws(TableError) in try write(bytes, to: entry, at: 0) }
        }
        try result.get()
    }

    /// Makes the file survive a power cut. Every byte of every tensor must have been written.
    func finish() throws(TableError) {
        let size = header.entries.last?.range.upperBound ?? 0
        precondition(written.load(ordering: .relaxed) == size, "not all tensors were written")
        try file.sync()
    }

    private func write(
        _ bytes: UnsafeRawBufferPointer, to entry: SafetensorsHeader.Entry, at offset: Int
    ) throws(TableError) {
        precondition(offset >= 0 && offset + bytes.count <= entry.range.count, "beyond tensor '\(entry.name)'")
        try file.write(bytes, at: header.size + entry.range.lowerBound + offset)
        written.wrappingAdd(bytes.count, ordering: .relaxed)
    }
}
