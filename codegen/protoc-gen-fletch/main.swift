// protoc-gen-fletch: a protoc plugin, from standard input to standard output.

internal import CodeGenerator
internal import Glibc

guard CommandLine.argc == 1 else {
    print(CodeGenerator.usage)
    exit(CommandLine.arguments[1] == "--help" ? 0 : 2)
}

guard let request = contents(of: STDIN_FILENO) else { fail("could not read standard input") }
var response = CodeGenerator.respond(to: request, readFile: contents(ofFile:))[...]
while !response.isEmpty {
    let count = response.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    guard count > 0 else { fail("could not write standard output") }
    response = response.dropFirst(count)
}

func contents(ofFile path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return contents(of: descriptor)
}

/// All bytes up to the end; nil where they cannot be read.
func contents(of descriptor: CInt) -> [UInt8]? {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        guard count >= 0 else { return nil }
        if count == 0 { return bytes }
        bytes += chunk[..<count]
    }
}

func fail(_ reason: String) -> Never {
    perror("protoc-gen-fletch: \(reason)")
    exit(1)
}
