internal import ArgumentParser
internal import Retrieval
internal import Schema
internal import Tables

struct TablesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tables",
        abstract: "List, inspect, verify and activate versions of tables.",
        subcommands: [TablesList.self, TablesInspect.self, TablesVerify.self, TablesActivate.self])
}

struct StoreArgument: ParsableArguments {
    @Option(help: ArgumentHelp("Store of versioned tables.", valueName: "dir"))
    var store: String

    var opened: Store { Store(path: store) }
}

struct TablesList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all versions of all tables; * marks the one that serves.")

    @OptionGroup var argument: StoreArgument

    func run() throws {
        let store = argument.opened
        for name in try store.names() {
            for version in try store.versions(of: name) {
                print("\(version.isCurrent ? "*" : " ") \(name)/\(version.version)  \(formatted(bytes: version.size))")
            }
        }
    }
}

struct TablesInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print what a version's manifest says; the data is not read.")

    @OptionGroup var argument: StoreArgument

    @Option(help: "Name of the table.")
    var name = "related"

    @Option(help: "Version; the one that serves where not given.")
    var version: Int?

    func run() throws {
        let manifest = try argument.opened.manifest(of: name, version: version)
        print("\(manifest.name)/\(manifest.version): \(manifest.kind), written by \(manifest.buildID)")
        print("format \(manifest.formatVersion), schema \(manifest.schemaFingerprint)")
        for file in manifest.files { print("file \(file.name)  \(formatted(bytes: Int(clamping: file.size)))") }
        for tensor in manifest.tensors {
            let shape = tensor.shape.map(String.init).joined(separator: " x ")
            let hash = String(tensor.xxh3, radix: 16)
            print("tensor \(tensor.name)  \(tensor.dtype) [\(shape)]  at \(tensor.offset)  xxh3 \(hash)")
        }
        for metric in manifest.metrics { print("metric \(metric.name)  \(formatted(metric.value))") }
        for attribute in manifest.attributes { print("attribute \(attribute.key)  \(attribute.value)") }
    }
}

struct TablesVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check tables as a server does before it serves them: every offset, every hash, every entry.")

    @OptionGroup var argument: StoreArgument

    @Option(help: "Name of the table; all tables where not given.")
    var name: String?

    @Option(help: "Version, with --name; all versions where not given.")
    var version: Int?

    func validate() throws {
        if version != nil, name == nil { throw ValidationError("--version needs --name") }
    }

    func run() throws {
        let store = argument.opened
        let names = if let name { [name] } else { try store.names() }
        for name in names {
            let versions = if let version { [version] } else { try store.versions(of: name).map(\.version) }
            for version in versions {
                let table = try store.open(name, version: version)
                if table.kind == RelatedTable.kind { _ = try RelatedTable(table) }
                print("\(name)/\(version): ok")
            }
        }
    }
}

struct TablesActivate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "activate", abstract: "Check a version and make it the one that serves, for example to roll back.")

    @OptionGroup var argument: StoreArgument

    @Option(help: "Name of the table.")
    var name = "related"

    @Option(help: "Version to serve from now on.")
    var version: Int

    func run() throws {
        try argument.opened.activate(name, version: version)
        print("\(name)/\(version) is the version that serves")
    }
}
