internal import Glibc
internal import Tables

/// Rows of floats from a file.
struct Vectors {
    var rows: [Float]
    var dimension: Int

    var count: Int { rows.count / dimension }

    /// Reads an array of NumPy (`.npy`, little-endian float32, two dimensions, C order), or a tensor of a safetensors
    /// file.
    static func read(_ path: String, tensor: String) throws -> Vectors {
        guard path.hasSuffix(".npy") else {
            let view = try SafetensorsFile(path: path)
            let tensor = try view.tensor(named: tensor)
            return Vectors(rows: try tensor.copy(as: Float.self, shape: [nil, nil]), dimension: tensor.shape[1])
        }
        return try readArray(path)
    }

    /// The format is described in NumPy's manual, numpy.lib.format.
    private static func readArray(_ path: String) throws -> Vectors {
        guard let file = fopen(path, "rb") else { throw Failure("\(path): cannot be opened; check the path") }
        defer { fclose(file) }
        var prefix = [UInt8](repeating: 0, count: 10)
        guard fread(&prefix, 1, 10, file) == 10, prefix[1..<6].elementsEqual("NUMPY".utf8), prefix[6] == 1 else {
            throw Failure("\(path): is no array of NumPy's format 1; save it again")
        }
        var header = [UInt8](repeating: 0, count: Int(prefix[8]) | Int(prefix[9]) << 8)
        guard fread(&header, 1, header.count, file) == header.count else { throw Failure("\(path): is cut off") }
        let text = String(decoding: header, as: UTF8.self)
        let sizes = text.drop { $0 != "(" }.dropFirst().prefix { $0 != ")" }
            .split(separator: ",").compactMap { Int($0.filter(\.isNumber)) }
        guard text.contains("'<f4'"), text.contains("False"), sizes.count == 2 else {
            throw Failure("\(path): is no float32 matrix in C order; convert it")
        }
        let count = sizes[0] * sizes[1]
        let rows = [Float](unsafeUninitializedCapacity: count) { elements, initialized in
            initialized = fread(elements.baseAddress, 4, count, file)
        }
        guard rows.count == count else { throw Failure("\(path): is cut off; save it again") }
        return Vectors(rows: rows, dimension: sizes[1])
    }

    /// At most `count` of the rows, evenly spread.
    func spread(_ wanted: Int) -> Vectors {
        guard wanted < count else { return self }
        var spread: [Float] = []
        for index in 0..<wanted {
            let start = index * count / wanted * dimension
            spread += rows[start..<start + dimension]
        }
        return Vectors(rows: spread, dimension: dimension)
    }
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Seconds that this process has computed for.
func processTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
