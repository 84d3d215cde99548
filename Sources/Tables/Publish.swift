internal import Glibc
internal import FletchSchema

/// What a new version holds.
public struct TableContents: Sendable {
    /// How to read the table, for example `related-products`.
    public let kind: String
    /// The tensors that will be written.
    public let tensors: [TensorSpec]
    /// The program that writes them.
    public let buildID: String
    /// What was measured on held-out data.
    public let metrics: [String: Double]
    /// How the table was made.
    public let attributes: [String: String]

    /// Describes a new version.
    public init(
        kind: String, tensors: [TensorSpec], buildID: String, metrics: [String: Double] = [:],
        attributes: [String: String] = [:]
    ) {
        self.kind = kind
        self.tensors = tensors
        self.buildID = buildID
        self.metrics = metrics
        self.attributes = attributes
    }
}

/// The steps of publishing, each named after what is done when it is reached.
package enum PublishStep: String, CaseIterable, Sendable {
    case madeTemporary
    case wroteTensors
    case wroteManifest
    case madeVersion
    case wroteCurrent
    case activated
}

extension Store {
    private static let dataName = "table.safetensors"

    /// Writes the next version of a table, or version `version`, makes it the one that serves, and returns it.
    ///
    /// `fill` writes every tensor of `contents`. Should anything fail, or the process end, the version that served
    /// before goes on to serve; after an error nothing of the new version is left.
    public func publish(
        _ name: String, version: Int? = nil, _ contents: TableContents,
        fill: (SafetensorsWriter) throws(TableError) -> Void
    ) throws(TableError) -> Int {
        try checkName(name)
        let root = try makeRoot()
        do throws(TableError) {
            let (temporaryName, temporary) = try startTemporary(name, version, in: root)
            // Its lock tells other publishers that its maker is still at it.
            defer { withExtendedLifetime(temporary) {} }
            do throws(TableError) {
                let file = try write(contents, to: temporary, fill)
                return try withLock(name, in: root) { table throws(TableError) in
                    let version = try Self.free(version, in: table)
                    let manifest = Self.manifest(of: file, contents, name: name, version: version)
                    try finish(manifest, version: version, from: temporary, temporaryName, in: table)
                    return version
                }
            } catch {
                try? withLock(name, in: root) { table throws(TableError) in _ = table.remove(temporaryName) }
                throw error
            }
        } catch {
            // Where nothing was ever published, not even the directory stays.
            unlinkat(root.descriptor, name, AT_REMOVEDIR)
            throw error
        }
    }

    /// Makes a version serve, after checking all of it: one from before, to roll back.
    public func activate(_ name: String, version: Int) throws(TableError) {
        _ = try open(name, version: version)
        try withLock(name, in: Directory(path: path)) { table throws(TableError) in
            try setCurrent(version, in: table)
        }
    }

    private func makeRoot() throws(TableError) -> Directory {
        if mkdir(path, 0o755) == 0 {
            try Directory(path: split(path: path).parent).sync()
        } else if errno != EEXIST {
            throw .system(path, "make the directory")
        }
        return try Directory(path: path)
    }

    /// Runs `body` while no other publisher is in the table's directory, which is made if need be.
    private func withLock<Value>(
        _ name: String, in root: Directory, _ body: (Directory) throws(TableError) -> Value
    ) throws(TableError) -> Value {
        while true {
            if try root.makeSubdirectory(name) { try root.sync() }
            guard let table = try root.subdirectoryIfPresent(name) else { continue }
            defer { withExtendedLifetime(table) {} }
            _ = try table.lock(waiting: true)
            // Whoever had the lock before may have failed and taken the empty directory away.
            if table.isRemoved { continue }
            return try body(table)
        }
    }

    private func startTemporary(
        _ name: String, _ version: Int?, in root: Directory
    ) throws(TableError) -> (name: String, directory: Directory) {
        try withLock(name, in: root) { table throws(TableError) in
            // Writing may take minutes: a version that cannot be is better refused now than only then.
            _ = try Self.free(version, in: table)
            try Self.removeLeftovers(in: table)
            let temporaryName = Directory.temporaryName()
            guard try table.makeSubdirectory(temporaryName),
                let temporary = try table.subdirectoryIfPresent(temporaryName), try temporary.lock(waiting: false)
            else {
                throw TableError(
                    path: table.path(of: temporaryName), reason: "was taken by another program", remedy: "try again")
            }
            onStep(.madeTemporary)
            return (temporaryName, temporary)
        }
    }

    /// Removes what publishers left that were stopped half-way; those still at work hold the lock of their directory.
    private static func removeLeftovers(in table: Directory) throws(TableError) {
        for name in try table.names() where name.hasPrefix(Directory.temporaryPrefix) {
            let leftover = try? table.subdirectoryIfPresent(name)
            if let leftover, (try? leftover.lock(waiting: false)) != true { continue }
            table.remove(name)
        }
    }

    private func write(
        _ contents: TableContents, to directory: Directory, _ fill: (SafetensorsWriter) throws(TableError) -> Void
    ) throws(TableError) -> SafetensorsFile {
        let writer = try SafetensorsWriter(
            directory.makeFile(Self.dataName, readOnly: true), tensors: contents.tensors,
            metadata: ["kind": contents.kind])
        try fill(writer)
        try writer.finish()
        onStep(.wroteTensors)
        guard let file = try directory.fileIfPresent(Self.dataName) else {
            throw TableError(
                path: directory.path(of: Self.dataName), reason: "was removed while the table was published",
                remedy: "publish the table again")
        }
        return try SafetensorsFile(file)
    }

    private func finish(
        _ manifest: Manifest, version: Int, from temporary: Directory, _ temporaryName: String, in table: Directory
    ) throws(TableError) {
        let file = try temporary.makeFile(ManifestFile.name, readOnly: true)
        try file.write(ManifestFile.encode(manifest), at: 0)
        try file.sync()
        try temporary.sync()
        onStep(.wroteManifest)
        _ = try Table(temporary, name: manifest.name, version: version)
        try table.rename(temporaryName, to: String(version))
        do throws(TableError) {
            try table.sync()
            onStep(.madeVersion)
            try setCurrent(version, in: table)
        } catch {
            if (try? Self.current(in: table)) != version { table.remove(String(version)) }
            throw error
        }
    }

    private func setCurrent(_ version: Int, in table: Directory) throws(TableError) {
        let temporaryName = Directory.temporaryName()
        do throws(TableError) {
            let file = try table.makeFile(temporaryName)
            try file.write(Array("\(version)\n".utf8), at: 0)
            try file.sync()
            onStep(.wroteCurrent)
            try table.rename(temporaryName, to: Self.currentName)
        } catch {
            table.remove(temporaryName)
            throw error
        }
        try table.sync()
        onStep(.activated)
    }

    /// The version asked for, or the next one.
    private static func free(_ version: Int?, in table: Directory) throws(TableError) -> Int {
        let taken = try versionNames(in: table)
        let version = version ?? (taken.max() ?? 0) + 1
        guard possibleVersions.contains(version) else {
            throw TableError(
                path: table.path, reason: "cannot hold a version \(version)",
                remedy: "choose one from \(possibleVersions.lowerBound) to \(possibleVersions.upperBound)")
        }
        guard !taken.contains(version) else {
            throw TableError(
                path: table.path(of: String(version)), reason: "is there already, and versions are never changed",
                remedy: "choose another version, or none to take the next")
        }
        return version
    }

    private static func manifest(
        of file: SafetensorsFile, _ contents: TableContents, name: String, version: Int
    ) -> Manifest {
        var manifest = Manifest()
        manifest.formatVersion = ManifestFile.formatVersion
        manifest.name = name
        manifest.version = String(version)
        manifest.kind = contents.kind
        manifest.schemaFingerprint = ManifestSchema.fingerprint
        manifest.buildID = contents.buildID
        manifest.files = [File(name: dataName, size: UInt64(file.size), headerXxh3: file.headerHash)]
        manifest.tensors = file.header.entries.map { entry in
            Tensor(
                name: entry.name, file: dataName, dtype: entry.dataType.rawValue, shape: entry.shape.map { UInt64($0) },
                offset: UInt64(file.header.size + entry.range.lowerBound), size: UInt64(entry.range.count),
                xxh3: xxh3(file.view(entry).bytes))
        }
        manifest.metrics = contents.metrics.sorted { $0.key < $1.key }.map { Metric(name: $0.key, value: $0.value) }
        manifest.attributes = contents.attributes.sorted { $0.key < $1.key }.map {
            Attribute(key: $0.key, value: $0.value)
        }
        return manifest
    }
}
