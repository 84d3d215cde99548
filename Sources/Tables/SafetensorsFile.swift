internal import CXXHash
internal import Glibc

/// One tensor of a mapped file: little-endian and row-major, valid as long as what it was taken from lives.
public struct TensorView: @unchecked Sendable {
    /// The path of the file that holds it.
    public let path: String
    /// The tensor's name.
    public let name: String
    /// The type of its elements.
    public let dataType: DataType
    /// Its dimensions; empty for a single number.
    public let shape: [Int]
    /// Its bytes, read-only.
    public let bytes: UnsafeRawBufferPointer

    /// The elements in place, where the tensor has the type of `Element` and `shape`, in which nil stands for any size,
    /// and is aligned.
    public func elements<Element: TensorElement>(
        as type: Element.Type, shape wanted: [Int?]
    ) throws(TableError) -> UnsafeBufferPointer<Element> {
        try check(type, wanted)
        guard UInt(bitPattern: bytes.baseAddress) % UInt(MemoryLayout<Element>.alignment) == 0 else {
            throw error("is not aligned to its elements' size")
        }
        return bytes.bindMemory(to: Element.self)
    }

    /// A copy of the elements, under the same conditions but wherever in the file they lie: the format asks for no
    /// alignment, and files of others often have none.
    public func copy<Element: TensorElement>(
        as type: Element.Type, shape wanted: [Int?]
    ) throws(TableError) -> [Element] {
        try check(type, wanted)
        let elementCount = bytes.count / MemoryLayout<Element>.stride
        return Array(unsafeUninitializedCapacity: elementCount) { elements, count in
            UnsafeMutableRawBufferPointer(elements).copyMemory(from: bytes)
            count = elementCount
        }
    }

    private func check<Element: TensorElement>(_ type: Element.Type, _ wanted: [Int?]) throws(TableError) {
        guard dataType == Element.dataType else {
            throw error("is \(dataType.rawValue), \(Element.dataType.rawValue) is needed")
        }
        guard shape.count == wanted.count, zip(shape, wanted).allSatisfy({ $1 == nil || $0 == $1 }) else {
            let sizes = wanted.map { size in size.map { String($0) } ?? "any" }
            throw error("has the shape \(shape), [\(sizes.joined(separator: ", "))] is needed")
        }
    }

    /// An error about this tensor; `reason` follows its name.
    public func error(_ reason: String, remedy: String = "write the file again") -> TableError {
        TableError(path: path, reason: "tensor \(name.quoted) \(reason)", remedy: remedy)
    }
}

/// A safetensors file, mapped read-only, its header checked: every tensor lies within the file.
///
/// The mapping shows the file itself. Whoever writes to the file in place changes what is read, and whoever truncates
/// it ends the process: files of a store are only ever replaced.
public final class SafetensorsFile: Sendable {
    /// The file's path.
    public let path: String
    /// Free text about the file.
    public let metadata: [String: String]
    let header: SafetensorsHeader
    private let mapping: Mapping

    /// Maps the file at a path.
    public convenience init(path: String) throws(TableError) {
        try self.init(OpenFile(path: path))
    }

    init(_ file: OpenFile) throws(TableError) {
        path = file.path
        mapping = try Mapping(file)
        header = try SafetensorsHeader(file: mapping.bytes, path: path)
        metadata = header.metadata
    }

    /// The size of the file in bytes.
    public var size: Int { mapping.bytes.count }

    /// The tensors in the order of their bytes.
    public var tensors: [TensorView] { header.entries.map(view) }

    /// The tensor of a name.
    public func tensor(named name: String) throws(TableError) -> TensorView {
        guard let entry = header.entries.first(where: { $0.name == name }) else {
            throw TableError(
                path: path, reason: "has no tensor \(name.quoted)", remedy: "write the file with all tensors it needs")
        }
        return view(entry)
    }

    /// XXH3 of the header's bytes.
    var headerHash: UInt64 { xxh3(UnsafeRawBufferPointer(rebasing: mapping.bytes[..<header.size])) }

    func view(_ entry: SafetensorsHeader.Entry) -> TensorView {
        let range = header.size + entry.range.lowerBound..<header.size + entry.range.upperBound
        return TensorView(
            path: path, name: entry.name, dataType: entry.dataType, shape: entry.shape,
            bytes: UnsafeRawBufferPointer(rebasing: mapping.bytes[range]))
    }
}

/// XXH3 with 64 bits and seed 0, the hash of everything in a store.
func xxh3(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    XXH3_64bits(bytes.baseAddress, bytes.count)
}

/// A whole file in memory, read-only, until it is released.
private final class Mapping: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(_ file: OpenFile) throws(TableError) {
        guard file.size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, file.size, PROT_READ, MAP_SHARED, file.descriptor, 0), address != MAP_FAILED
        else {
            throw .system(file.path, "map the file")
        }
        // Most who open a table read all of it next, to check it; where it is in memory already, this costs nothing.
        madvise(address, file.size, MADV_WILLNEED)
        bytes = UnsafeRawBufferPointer(start: address, count: file.size)
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }
}
