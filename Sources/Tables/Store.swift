internal import Glibc
public import FletchSchema

/// Versioned tables in a directory.
///
///     STORE/<name>/CURRENT                  the version that serves, in decimal
///     STORE/<name>/<version>/manifest.binpb what the version is: fletch.tables.v1.Manifest
///     STORE/<name>/<version>/*.safetensors  its tensors
///
/// A version is never changed once it is there. It appears by one rename, and serves by another, so whoever opens a
/// table finds a whole version, whatever happened to a publisher. Names that start with `.tmp-` are unfinished work,
/// which the next publisher removes unless its maker is still at it; writers take turns by `flock` on the directory of
/// the table, so a store belongs on a local file system.
///
/// The files of a version are replaced, never edited in place: a process that serves them has them mapped, reads what
/// is written to them unchecked, and is ended by SIGBUS where one is truncated. They are made read-only (0444) so that
/// this does not happen by mistake; their directory is not, so that its owner can remove a version as a whole. To
/// change a table, publish a version; to go back, activate one.
public struct Store: Sendable {
    /// The directory, which the first ``publish(_:version:_:fill:)`` makes.
    public let path: String
    /// Called after each step of publishing, for tests that stop there.
    package var onStep: @Sendable (PublishStep) -> Void = { _ in }

    static let currentName = "CURRENT"

    /// Names the directory; nothing is opened yet.
    public init(path: String) {
        self.path = path
    }
}

/// One version as the store lists it.
public struct TableVersion: Sendable, Hashable {
    /// The table's name.
    public let name: String
    /// The version.
    public let version: Int
    /// Whether this version serves.
    public let isCurrent: Bool
    /// The bytes of all its files, as far as they can be read.
    public let size: Int
}

// MARK: - Reading

extension Store {
    /// The names of all tables that have a version, sorted.
    public func names() throws(TableError) -> [String] {
        let root = try Directory(path: path)
        var names: [String] = []
        for name in try root.names() where Self.isName(name) && root.isDirectory(name) {
            // One that cannot be read is named as well: whoever asks for its versions is told why.
            if (try? Self.hasVersions(name, in: root)) != false { names.append(name) }
        }
        return names.sorted()
    }

    /// All versions of a table, oldest first; whether they are whole is not looked at.
    ///
    /// Where `CURRENT` is damaged or names a version that is not there, none is current, and ``currentVersion(of:)``
    /// throws why.
    public func versions(of name: String) throws(TableError) -> [TableVersion] {
        let table = try directory(of: name)
        let current = try? Self.current(in: table)
        return try Self.versions(in: table).map { version in
            TableVersion(
                name: name, version: version, isCurrent: version == current, size: Self.size(of: version, in: table))
        }
    }

    /// The version of a table that serves; nil where none was ever activated, or the table is not there at all.
    ///
    /// - Throws: Where `CURRENT` is damaged or names a version that is not there.
    public func currentVersion(of name: String) throws(TableError) -> Int? {
        guard let table = try directoryIfPresent(of: name) else { return nil }
        return try Self.serving(in: table)?.version
    }

    /// The manifest of a version, by default the one that serves; of the version's files nothing is checked.
    public func manifest(of name: String, version: Int? = nil) throws(TableError) -> Manifest {
        try ManifestFile.read(in: directory(of: name, version: version).directory)
    }

    /// Maps a version of a table, by default the one that serves, after checking all of it. With `trusting`, what an
    /// earlier check of the very same files found is believed (``Table/isChecked``), and nothing is read but headers.
    public func open(_ name: String, version: Int? = nil, trusting: Bool = false) throws(TableError) -> Table {
        let found = try directory(of: name, version: version)
        return try Table(found.directory, name: name, version: found.version, trusting: trusting)
    }

    private func directoryIfPresent(of name: String) throws(TableError) -> Directory? {
        try checkName(name)
        return try Directory(path: path).subdirectoryIfPresent(name)
    }

    private func directory(of name: String) throws(TableError) -> Directory {
        guard let directory = try directoryIfPresent(of: name) else {
            throw TableError(path: path, reason: "has no table \(name.quoted)", remedy: "publish it, or check the name")
        }
        return directory
    }

    /// The directory of a version, by default of the one that serves.
    private func directory(
        of name: String, version: Int?
    ) throws(TableError) -> (directory: Directory, version: Int) {
        let table = try directory(of: name)
        if let version {
            guard let directory = try table.subdirectoryIfPresent(String(version)) else {
                throw TableError(
                    path: table.path, reason: "has no version \(version)", remedy: Self.remedy("choose", in: table))
            }
            return (directory, version)
        }
        guard let serving = try Self.serving(in: table) else {
            throw TableError(
                path: table.path(of: Self.currentName), reason: "is missing: no version was activated",
                remedy: Self.remedy("activate", in: table))
        }
        return serving
    }

    /// The version that `CURRENT` names and its directory; nil without such a file.
    private static func serving(in table: Directory) throws(TableError) -> (directory: Directory, version: Int)? {
        guard let version = try current(in: table) else { return nil }
        guard let directory = try table.subdirectoryIfPresent(String(version)) else {
            throw TableError(
                path: table.path(of: currentName), reason: "names version \(version), which is not there",
                remedy: remedy("activate", in: table))
        }
        return (directory, version)
    }

    /// What to do where there is no version as asked for: to take one that there is.
    private static func remedy(_ verb: String, in table: Directory) -> String {
        guard let versions = try? versions(in: table), !versions.isEmpty else { return "publish the table" }
        let newest = versions.suffix(namedVersions).map(String.init).joined(separator: ", ")
        return "\(verb) one of: \(versions.count > namedVersions ? "..., " : "")\(newest)"
    }

    /// As many of the newest versions as fit a line of an error.
    private static let namedVersions = 10

    /// The version that `CURRENT` names, there or not; nil without such a file.
    static func current(in table: Directory) throws(TableError) -> Int? {
        guard let file = try table.fileIfPresent(currentName) else { return nil }
        let bytes = try file.contents(limit: 64, remedy: remedy("activate", in: table))
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasSuffix("\n"), let version = version(String(text.dropLast())) else {
            throw TableError(
                path: file.path, reason: "does not hold a version", remedy: remedy("activate", in: table))
        }
        return version
    }

    /// The versions of a table, oldest first. What only has the name of one, a link for example, is none.
    private static func versions(in table: Directory) throws(TableError) -> [Int] {
        try versionNames(in: table).filter { table.isDirectory(String($0)) }.sorted()
    }

    /// The versions whose name is taken, by whatever.
    static func versionNames(in table: Directory) throws(TableError) -> [Int] {
        try table.names().compactMap(version)
    }

    private static func hasVersions(_ name: String, in root: Directory) throws(TableError) -> Bool {
        guard let table = try root.subdirectoryIfPresent(name) else { return false }
        return try !versions(in: table).isEmpty
    }

    private static func size(of version: Int, in table: Directory) -> Int {
        guard let directory = try? table.subdirectoryIfPresent(String(version)), let files = try? directory.names()
        else { return 0 }
        return files.reduce(0) { $0 + ((try? directory.fileIfPresent($1))?.size ?? 0) }
    }

    /// The versions that a table can have; the largest is a whole number in every language's floating point.
    static let possibleVersions = 1...1 << 53

    /// A version in decimal as it is written in paths: no sign, no leading zero.
    private static func version(_ text: String) -> Int? {
        guard let version = Int(text), possibleVersions.contains(version), String(version) == text else { return nil }
        return version
    }

    /// The longest name of a table: with room for what may be added to it, a file name of any system.
    private static let longestName = 128

    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= longestName else { return false }
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        return isAlphanumeric(first)
            && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
    }

    func checkName(_ name: String) throws(TableError) {
        guard Self.isName(name) else {
            throw TableError(
                path: path, reason: "cannot hold a table named \(name.quoted)",
                remedy: "use up to \(Self.longestName) of a-z, 0-9, '_' and '-', with a letter or digit first")
        }
    }
}
