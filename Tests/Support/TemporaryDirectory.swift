internal import Glibc

/// A directory of a test's own, removed with all in it when the value goes.
public final class TemporaryDirectory: Sendable {
    /// Where it is.
    public let path: String

    /// Makes the directory.
    public init() {
        var template = Array("/tmp/fletch-test-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }

    deinit {
        Self.remove(path)
    }

    /// A directory for what all tests of the process share, removed when it exits.
    public static let shared: TemporaryDirectory = {
        atexit { TemporaryDirectory.remove(TemporaryDirectory.shared.path) }
        return TemporaryDirectory()
    }()

    /// The names in a directory, sorted; none where it cannot be read.
    public static func names(in path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private static func remove(_ path: String) {
        chmod(path, 0o755)
        for name in names(in: path) where unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
        rmdir(path)
    }
}

/// All bytes of a file.
public func readBytes(_ path: String) -> [UInt8] {
    let file = fopen(path, "r")!
    defer { fclose(file) }
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { result += chunk[..<count] }
    return result
}

/// Replaces what is in a file, in place, even where it is read-only.
public func writeBytes(_ bytes: [UInt8], to path: String) {
    chmod(path, 0o644)
    let file = fopen(path, "w")!
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
}

/// Replaces one byte of a file, in place, even where it is read-only.
public func writeByte(_ byte: UInt8, at offset: Int, of path: String) {
    chmod(path, 0o644)
    let descriptor = open(path, O_WRONLY)
    defer { close(descriptor) }
    var byte = byte
    precondition(pwrite(descriptor, &byte, 1, offset) == 1)
}
