internal import ArgumentParser
internal import Retrieval
internal import FletchSchema
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
        let names = try store.names()
        for name in names {
            for version in try store.versions(of: name) {
                try say(
                    "\(version.isCurrent ? "*" : " ") \(name)/\(version.version)  \(formatted(bytes: version.size))")
            }
        }
        // What serves may be damaged; the versions are listed all the same, so that one can be activated.
        for name in names { _ = try store.currentVersion(of: name) }
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
        try say("\(manifest.name)/\(manifest.version): \(manifest.kind), written by \(manifest.buildID)")
        try say("format \(manifest.formatVersion), schema \(manifest.schemaFingerprint)")
        if let difference = manifest.schemaDifference { try say(difference) }
        for file in manifest.files { try say("file \(file.name)  \(formatted(bytes: Int(clamping: file.size)))") }
        for tensor in manifest.tensors {
            let shape = tensor.shape.map(String.init).joined(separator: " x ")
            let hash = String(tensor.xxh3, radix: 16)
            try say("tensor \(tensor.name)  \(tensor.dtype) [\(shape)]  at \(tensor.offset)  xxh3 \(hash)")
        }
        for metric in manifest.metrics { try say("metric \(metric.name)  \(formatted(metric.value))") }
        for attribute in manifest.attributes { try say("attribute \(attribute.key)  \(attribute.value)") }
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
        var failures: [String] = []
        for name in try name.map({ [$0] }) ?? store.names() {
            for version in try version.map({ [$0] }) ?? store.versions(of: name).map(\.version) {
                do throws(TableError) {
                    let table = try store.open(name, version: version)
                    if table.kind == RelatedTable.kind { _ = try RelatedTable(table) }
                } catch {
                    try say("\(name)/\(version): refused")
                    failures.append("\(error)")
                    continue
                }
                try say("\(name)/\(version): ok")
            }
        }
        for failure in failures.dropFirst() { log(failure.inOneLine) }
        if let failure = failures.first { throw CommandError(failure) }
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
        try say("\(name)/\(version) is the version that serves")
    }
}
