// protoc-gen-fletch: a protoc plugin, from standard input to standard output.

internal import CodeGenerator
internal import Glibc

guard CommandLine.argc == 1 else {
    print(CodeGenerator.usage)
    exit(CommandLine.arguments[1] == "--help" ? 0 : 2)
}

var request: [UInt8] = []
var chunk = [UInt8](repeating: 0, count: 1 << 16)
while true {
    let count = read(STDIN_FILENO, &chunk, chunk.count)
    if count == 0 { break }
    guard count > 0 else { fail("could not read standard input") }
    request += chunk[..<count]
}

var response = CodeGenerator.respond(to: request)[...]
while !response.isEmpty {
    let count = response.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    guard count > 0 else { fail("could not write standard output") }
    response = response.dropFirst(count)
}

func fail(_ reason: String) -> Never {
    perror("protoc-gen-fletch: \(reason)")
    exit(1)
}
