/// The header of a safetensors file: which tensors it holds and where
/// (https://github.com/huggingface/safetensors, "Format").
///
/// A file is eight bytes with the length of the JSON that follows, the JSON, which may end in spaces, and the tensors
/// one after another without a gap.
struct SafetensorsHeader {
    /// One tensor of the file.
    struct Entry: Equatable {
        let name: String
        let dataType: DataType
        let shape: [Int]
        /// Bytes from the end of the header.
        let range: Range<Int>
    }

    /// The tensors in the order of their bytes.
    let entries: [Entry]
    /// Free text about the file.
    let metadata: [String: String]
    /// Bytes before the first tensor: the length and the JSON.
    let size: Int

    private enum Limit {
        /// Larger than the JSON of any table: it bounds the memory that a foreign file can make us take.
        static let jsonBytes = 16 << 20
        /// More than any model's layers times their weights.
        static let tensors = 65_536
        /// NumPy's limit of old.
        static let dimensions = 32
        /// A name that still fits a line of an error.
        static let nameBytes = 1024
        /// Metadata is a note, not a payload.
        static let metadataBytes = 1 << 20
    }
}

// MARK: - Reading

extension SafetensorsHeader {
    /// Reads and checks the header of a whole file: every tensor lies within the file, has the size that its shape and
    /// type give, and together they fill it.
    init(file bytes: UnsafeRawBufferPointer, path: String) throws(TableError) {
        do {
            try self.init(checking: bytes)
        } catch {
            throw TableError(
                path: path, reason: "is not a whole safetensors file: \(error.reason)",
                remedy: "write or copy the file again")
        }
    }

    private init(checking bytes: UnsafeRawBufferPointer) throws(JSONFault) {
        guard bytes.count >= 8 else { throw JSONFault(reason: "it has only \(bytes.count) bytes") }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= Limit.jsonBytes else {
            throw JSONFault(reason: "its header claims \(length) bytes, more than \(Limit.jsonBytes)")
        }
        size = 8 + Int(length)
        guard size <= bytes.count else {
            throw JSONFault(reason: "its header claims \(length) bytes, the file has \(bytes.count)")
        }
        do {
            (entries, metadata) = try Self.parse(UnsafeRawBufferPointer(rebasing: bytes[8..<size]))
        } catch {
            throw JSONFault(reason: "its header \(error.reason)")
        }
        try Self.checkTiling(entries, dataSize: bytes.count - size)
    }

    private static func parse(
        _ json: UnsafeRawBufferPointer
    ) throws(JSONFault) -> (entries: [Entry], metadata: [String: String]) {
        guard json.first == UInt8(ascii: "{") else { throw JSONFault(reason: "does not start with '{'") }
        var scanner = JSONScanner(json)
        var entries: [Entry] = []
        var names: Set<String> = []
        var metadata: [String: String] = [:]
        try scanner.object(longestKey: Limit.nameBytes) { (scanner, name) throws(JSONFault) in
            guard names.insert(name).inserted else { throw JSONFault(reason: "names \(name.quoted) twice") }
            if name == "__metadata__" {
                metadata = try parseMetadata(&scanner)
            } else {
                guard entries.count < Limit.tensors else {
                    throw JSONFault(reason: "has more than \(Limit.tensors) tensors")
                }
                entries.append(try parseEntry(&scanner, name: name))
            }
        }
        try scanner.end()
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        return (entries, metadata)
    }

    private static func parseMetadata(_ scanner: inout JSONScanner) throws(JSONFault) -> [String: String] {
        var metadata: [String: String] = [:]
        try scanner.object(longestKey: Limit.nameBytes) { (scanner, key) throws(JSONFault) in
            let value = try scanner.string(longest: Limit.metadataBytes)
            guard metadata.updateValue(value, forKey: key) == nil else {
                throw JSONFault(reason: "has the metadata \(key.quoted) twice")
            }
        }
        return metadata
    }

    private static func parseEntry(_ scanner: inout JSONScanner, name: String) throws(JSONFault) -> Entry {
        var type: String?
        var shape: [UInt64]?
        var offsets: [UInt64]?
        try scanner.object(longestKey: Limit.nameBytes) { (scanner, key) throws(JSONFault) in
            switch key {
            case "dtype" where type == nil: type = try scanner.string(longest: Limit.nameBytes)
            case "shape" where shape == nil: shape = try scanner.integers(longest: Limit.dimensions)
            case "data_offsets" where offsets == nil: offsets = try scanner.integers(longest: 2)
            default:
                throw JSONFault(reason: "says \(key.quoted) of tensor \(name.quoted), unknown or for the second time")
            }
        }
        guard let type, let shape, let offsets, offsets.count == 2 else {
            throw JSONFault(reason: "lacks dtype, shape or data_offsets of tensor \(name.quoted)")
        }
        guard let dataType = DataType(rawValue: type) else {
            throw JSONFault(reason: "gives tensor \(name.quoted) the unknown type \(type.quoted)")
        }
        return try entry(name: name, dataType: dataType, shape: shape, from: offsets[0], to: offsets[1])
    }

    private static func entry(
        name: String, dataType: DataType, shape: [UInt64], from lower: UInt64, to upper: UInt64
    ) throws(JSONFault) -> Entry {
        guard let size = byteCount(shape: shape, dataType: dataType), lower <= upper, upper <= UInt64(Int.max) else {
            throw JSONFault(reason: "gives tensor \(name.quoted) an impossible size")
        }
        guard upper - lower == size else {
            throw JSONFault(
                reason: "gives tensor \(name.quoted) \(upper - lower) bytes, its shape and type take \(size)")
        }
        return Entry(name: name, dataType: dataType, shape: shape.map { Int($0) }, range: Int(lower)..<Int(upper))
    }

    /// The bytes of a tensor; nil where they do not fit an `Int`.
    private static func byteCount(shape: [UInt64], dataType: DataType) -> UInt64? {
        var size = UInt64(dataType.size)
        for dimension in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: max(1, dimension))
            guard !overflow, product <= UInt64(Int.max) else { return nil }
            size = product
        }
        return shape.contains(0) ? 0 : size
    }

    /// Tensors must follow one another and end with the file: no byte is outside of all or in two.
    private static func checkTiling(_ entries: [Entry], dataSize: Int) throws(JSONFault) {
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                throw JSONFault(
                    reason:
                        "tensor \(entry.name.quoted) starts at byte \(entry.range.lowerBound) of the data, not at \(end)"
                )
            }
            end = entry.range.upperBound
        }
        guard end == dataSize else {
            throw JSONFault(reason: "its tensors take \(end) bytes, the file has \(dataSize) for them")
        }
    }
}

// MARK: - Writing

extension SafetensorsHeader {
    /// Where the first tensor starts is a multiple of a page, so that what is aligned in the file is aligned in memory.
    private static let pageSize = 4096
    /// Tensors start at multiples of a cache line where their sizes allow it.
    private static let bestAlignment = 64

    /// Lays out tensors by falling alignment: then each is aligned without a gap, which the format does not allow.
    init(tensors: [TensorSpec], metadata: [String: String]) {
        let ordered = tensors.enumerated().sorted {
            let (left, right) = (Self.alignment($0.element), Self.alignment($1.element))
            return left != right ? left > right : $0.offset < $1.offset
        }
        var end = 0
        entries = ordered.map { _, tensor in
            defer { end += tensor.byteCount }
            return Entry(
                name: tensor.name, dataType: tensor.dataType, shape: tensor.shape, range: end..<end + tensor.byteCount)
        }
        self.metadata = metadata
        size = (8 + Self.json(entries, metadata).count + Self.pageSize - 1) / Self.pageSize * Self.pageSize
    }

    /// The bytes of the header: the length, the JSON, and spaces up to ``size``.
    func encoded() -> [UInt8] {
        var bytes = withUnsafeBytes(of: UInt64(size - 8).littleEndian) { Array($0) }
        bytes += Self.json(entries, metadata)
        bytes += repeatElement(UInt8(ascii: " "), count: size - bytes.count)
        return bytes
    }

    /// The largest power of two that divides a tensor's size: what follows it is aligned to that at least.
    private static func alignment(_ tensor: TensorSpec) -> Int {
        let size = tensor.byteCount
        return size == 0 ? bestAlignment : min(bestAlignment, size & -size)
    }

    private static func json(_ entries: [Entry], _ metadata: [String: String]) -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
            members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        for entry in entries {
            let shape = entry.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(quoted(entry.name)):{\"dtype\":\"\(entry.dataType.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(entry.range.lowerBound),\(entry.range.upperBound)]}")
        }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
