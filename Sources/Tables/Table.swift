public import FletchSchema

/// One version of a table, mapped read-only, after every statement of its manifest was checked: the sizes and headers
/// of its files, and the type, shape, place and hash of each tensor.
public final class Table: Sendable {
    /// The directory of the version.
    public let path: String
    /// What the table says of itself.
    public let manifest: Manifest
    private let files: [SafetensorsFile]
    private let directory: Directory
    /// The files as they were when they were opened, the manifest first.
    private let identities: [FileIdentity]
    /// What an earlier check of these very files found; nil where this one must be made.
    private let verification: Verification?

    /// The table's name.
    public var name: String { manifest.name }
    /// The table's version, a decimal number.
    public var version: String { manifest.version }
    /// What the table holds.
    public var kind: String { manifest.kind }

    /// Opens and checks what a directory holds as version `version` of the table `name`. With `trusting`, hashes are
    /// not computed again where an earlier check is remembered.
    init(_ directory: Directory, name: String, version: Int, trusting: Bool = false) throws(TableError) {
        path = directory.path
        self.directory = directory
        // Before anything is read of a file: whatever changes from now on shows.
        let manifestIdentity = try directory.fileIfPresent(ManifestFile.name).map { file throws(TableError) in
            try FileIdentity(file, name: ManifestFile.name)
        }
        manifest = try ManifestFile.read(in: directory)
        guard manifest.name == name, manifest.version == String(version) else {
            throw TableError(
                path: path, reason: "holds version \(manifest.version.quoted) of the table \(manifest.name.quoted)",
                remedy: "move it to its place or publish the table again")
        }
        let opened = try Self.openFiles(manifest, in: directory)
        identities = [manifestIdentity].compactMap(\.self) + opened.identities
        let remembered = trusting ? Verification.read(in: directory) : nil
        verification = remembered?.files == identities ? remembered : nil
        files = opened.files
        try check(hashes: verification == nil)
    }

    /// The tensor of a name, checked, in the mapped file.
    public func tensor(named name: String) throws(TableError) -> TensorView {
        if let tensor = tensorIfPresent(named: name) { return tensor }
        throw TableError(
            path: path, reason: "has no tensor \(name.quoted), which tables of kind \(kind.quoted) need",
            remedy: "publish the table again")
    }

    /// The tensor of a name, checked, in the mapped file; nil where the table has none.
    public func tensorIfPresent(named name: String) -> TensorView? {
        for file in files {
            if let entry = file.header.entries.first(where: { $0.name == name }) { return file.view(entry) }
        }
        return nil
    }

    /// What the manifest says was measured under a name; nil where it says nothing.
    public func metric(_ name: String) -> Double? { manifest.metrics.first { $0.name == name }?.value }

    /// What the manifest says under a key; nil where it says nothing.
    public func attribute(_ key: String) -> String? { manifest.attributes.first { $0.key == key }?.value }
}

// MARK: - Earlier checks

extension Table {
    /// Whether hashes were computed when the table was opened, not just remembered.
    public var isChecked: Bool { verification == nil }

    /// What the checks of a kind of table found earlier, in these very files; nil where they must be made (again).
    ///
    /// - Parameter checks: the kind and a number that rises with what is checked, without spaces.
    public func remembered(_ checks: String) -> [String: Double]? {
        verification?.checks == checks ? verification?.facts : nil
    }

    /// Remembers that all checks of a kind of table were made and what they found, names without spaces. Where the
    /// directory cannot be written, they are made again by the next process.
    public func remember(_ checks: String, _ facts: [String: Double]) {
        guard isChecked else { return }
        Verification(checks: checks, facts: facts, files: identities).write(in: directory)
    }

    /// Computes every hash, also where an earlier check was remembered.
    ///
    /// - Throws: where the files are no longer what they were.
    public func checkHashes() throws(TableError) {
        try check(hashes: true)
    }
}

// MARK: - Checks

extension Table {
    private static func openFiles(
        _ manifest: Manifest, in directory: Directory
    ) throws(TableError) -> (files: [SafetensorsFile], identities: [FileIdentity]) {
        var files: [SafetensorsFile] = []
        var identities: [FileIdentity] = []
        var names: Set<String> = []
        for file in manifest.files {
            guard names.insert(file.name).inserted else {
                throw damaged(directory.path(of: ManifestFile.name), "names the file \(file.name.quoted) twice")
            }
            let (mapped, identity) = try open(file, in: directory)
            files.append(mapped)
            identities.append(identity)
        }
        return (files, identities)
    }

    private static func open(
        _ stated: File, in directory: Directory
    ) throws(TableError) -> (SafetensorsFile, FileIdentity) {
        guard isPlain(stated.name) else {
            throw TableError(
                path: directory.path(of: ManifestFile.name), reason: "names the impossible file \(stated.name.quoted)",
                remedy: "publish the table again")
        }
        guard let opened = try directory.fileIfPresent(stated.name) else {
            throw damaged(directory.path(of: stated.name), "is missing")
        }
        guard UInt64(opened.size) == stated.size else {
            throw damaged(opened.path, "has \(opened.size) bytes, the manifest says \(stated.size)")
        }
        let identity = try FileIdentity(opened, name: stated.name)
        let file = try SafetensorsFile(opened)
        guard file.headerHash == stated.headerXxh3 else {
            throw damaged(file.path, "is damaged: its header has another hash than the manifest says")
        }
        return (file, identity)
    }

    /// Every tensor of the manifest is in its file as stated, and every tensor of a file is in the manifest.
    private func check(hashes: Bool) throws(TableError) {
        var unstated: [String: (file: SafetensorsFile, entries: [String: SafetensorsHeader.Entry])] = [:]
        for (stated, file) in zip(manifest.files, files) {
            unstated[stated.name] = (file, Dictionary(uniqueKeysWithValues: file.header.entries.map { ($0.name, $0) }))
        }
        var names: Set<String> = []
        for tensor in manifest.tensors {
            guard names.insert(tensor.name).inserted, let file = unstated[tensor.file]?.file,
                let entry = unstated[tensor.file]?.entries.removeValue(forKey: tensor.name)
            else {
                throw Self.damaged(
                    "\(path)/\(tensor.file)", "has not the tensor \(tensor.name.quoted) that the manifest lists")
            }
            try Self.check(tensor, entry, in: file, hash: hashes)
        }
        for (file, entries) in unstated.values {
            if let name = entries.keys.first {
                throw Self.damaged(file.path, "has the tensor \(name.quoted), which the manifest does not list")
            }
        }
    }

    private static func check(
        _ stated: Tensor, _ entry: SafetensorsHeader.Entry, in file: SafetensorsFile, hash: Bool
    ) throws(TableError) {
        let offset = UInt64(file.header.size + entry.range.lowerBound)
        guard stated.dtype == entry.dataType.rawValue, stated.shape == entry.shape.map({ UInt64($0) }),
            stated.offset == offset, stated.size == UInt64(entry.range.count)
        else {
            throw damaged(file.path, "has the tensor \(entry.name.quoted) otherwise than the manifest says")
        }
        guard !hash || xxh3(file.view(entry).bytes) == stated.xxh3 else {
            throw damaged(file.path, "is damaged: tensor \(entry.name.quoted) has another hash than the manifest says")
        }
    }

    private static func damaged(_ path: String, _ reason: String) -> TableError {
        TableError(path: path, reason: reason, remedy: "publish the table again or activate another version")
    }

    /// Whether a file name stays within its directory and is not one of the store's own.
    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 255 && name.first != "." && name != ManifestFile.name
            && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
    }
}
