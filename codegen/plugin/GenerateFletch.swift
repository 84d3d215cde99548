// swift package generate-fletch: runs protoc with protoc-gen-fletch on the files of a package.

import Foundation
import PackagePlugin

@main
struct GenerateFletch: CommandPlugin {
    func performCommand(context: PluginContext, arguments: [String]) throws {
        let command = try Command(arguments)
        guard !command.showsHelp else { return print(Command.help) }
        let roots = command.importPaths + command.folders
        let options = command.options.map { "--fletch_opt=\($0)" }
        let plugin = try context.tool(named: "protoc-gen-fletch").url.path
        try FileManager.default.createDirectory(atPath: command.outputPath, withIntermediateDirectories: true)
        try run(
            protoc(command.protocPath),
            ["--plugin=protoc-gen-fletch=\(plugin)", "--fletch_out=\(command.outputPath)"] + options
                + ((roots.isEmpty ? [FileManager.default.currentDirectoryPath] : roots) + [wellKnownTypes]).map {
                    "-I\($0)"
                }
                + command.files,
            isVerbose: command.isVerbose)
    }

    /// Not every protoc brings the files of protobuf's well-known types; the package of this plugin does.
    private var wellKnownTypes: String {
        let package = URL(fileURLWithPath: #filePath).pathComponents.dropLast(3)
        return NSString.path(withComponents: package + ["proto"])
    }

    private func protoc(_ path: String?) throws -> String {
        let environment = ProcessInfo.processInfo.environment
        let folders = (environment["PATH"] ?? "").split(separator: ":")
        let candidates = path.map { [$0] } ?? folders.map { "\($0)/protoc" }
        guard let found = candidates.first(where: FileManager.default.isExecutableFile) else {
            throw Failure(
                path.map { "--protoc-path: '\($0)' is no program" }
                    ?? "protoc is not on the PATH; install it (Debian: protobuf-compiler) or give --protoc-path")
        }
        return found
    }

    private func run(_ program: String, _ arguments: [String], isVerbose: Bool) throws {
        if isVerbose { print(([program] + arguments).joined(separator: " ")) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        // protoc has said what is wrong.
        guard process.terminationStatus == 0 else { throw Failure("protoc failed; nothing was written") }
    }
}

/// What the command line says.
private struct Command {
    private(set) var showsHelp = false
    private(set) var isVerbose = false
    private(set) var protocPath: String?
    private(set) var outputPath = FileManager.default.currentDirectoryPath
    private(set) var importPaths: [String] = []
    /// Those given as such, which their files are imported relative to, and all files.
    private(set) var folders: [String] = []
    private(set) var files: [String] = []
    /// protoc-gen-fletch's.
    private(set) var options: [String] = []

    static let help = """
        Generates Swift messages and gRPC services from .proto files.

        USAGE: swift package --allow-writing-to-package-directory generate-fletch [flags] FILES_OR_FOLDERS

          --output-path FOLDER        where the Swift files go (default: the current folder)
          --import-path FOLDER        where imports are looked for; may be repeated
                                      (default: the folders given, or else the current one)
          --access-level LEVEL        internal, package or public (default: internal)
          --access-level-on-imports   write `public import` or whatever the level is
          --file-naming NAMING        fullPath, pathToUnderscores or dropPath (default: fullPath)
          --module-mappings FILE      which module has the code of which .proto file
          --extra-module-import NAME  a module that every file imports; may be repeated
          --no-messages               leave messages and enums out
          --no-servers                leave out what a server needs
          --no-clients                leave clients out
          --protoc-path FILE          protoc (default: the first on the PATH)
          --verbose                   show how protoc is called
          --help                      show this

        protoc-gen-fletch's README says what each is for.
        """

    private static let flags = [
        "--no-messages": "Messages=false", "--no-servers": "Server=false", "--no-server": "Server=false",
        "--no-clients": "Client=false", "--no-client": "Client=false",
        "--access-level-on-imports": "UseAccessLevelOnImports=true",
    ]
    private static let valued = [
        "--access-level": "Visibility", "--file-naming": "FileNaming", "--module-mappings": "ProtoPathModuleMappings",
        "--extra-module-import": "ExtraModuleImports",
    ]

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            func value() throws -> String {
                if parts.count == 2 { return parts[1] }
                guard let value = rest.popFirst(), !value.hasPrefix("--") else {
                    throw Failure("\(argument) needs a value")
                }
                return value
            }
            if let option = Self.flags[argument] {
                options.append(option)
            } else if let option = Self.valued[parts[0]] {
                options.append("\(option)=\(try value())")
            } else {
                switch parts[0] {
                case "--help", "-h": showsHelp = true
                case "--verbose": isVerbose = true
                case "--protoc-path": protocPath = try value()
                case "--output-path": outputPath = try value()
                case "--import-path": importPaths.append(try value())
                case "--":
                    for input in rest { try add(input) }
                    rest = []
                case let flag where flag.hasPrefix("-"):
                    throw Failure("there is no flag '\(flag)'; --help shows those that there are")
                default: try add(argument)
                }
            }
        }
        guard showsHelp || !files.isEmpty else {
            throw Failure("no .proto files are given; name files or folders, or see --help")
        }
    }

    private mutating func add(_ input: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: input, isDirectory: &isFolder) else {
            throw Failure("'\(input)' does not exist")
        }
        guard isFolder.boolValue else {
            guard input.hasSuffix(".proto") else { throw Failure("'\(input)' is no .proto file") }
            return files.append(input)
        }
        // Hidden folders hold what SwiftPM checked out of other packages.
        let found = (FileManager.default.subpaths(atPath: input) ?? []).filter { path in
            path.hasSuffix(".proto") && !path.split(separator: "/").contains { $0.hasPrefix(".") }
        }.sorted()
        guard !found.isEmpty else { throw Failure("'\(input)' has no .proto files") }
        folders.append(input)
        files += found.map { "\(input)/\($0)" }
    }
}

/// What a user must mend.
private struct Failure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
