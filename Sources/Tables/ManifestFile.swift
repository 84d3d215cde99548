public import FletchSchema
internal import FletchWire

/// The file `manifest.binpb` of a version: an encoded `fletch.tables.v1.Manifest` whose last nine bytes are the field
/// `checksum`, the XXH3 of all bytes before. A reader checks it before it decodes anything.
enum ManifestFile {
    static let name = "manifest.binpb"
    /// The newest layout of store and manifest that this program reads, and the one it writes.
    static let formatVersion: UInt32 = 1
    /// Room for thousands of tensors; it bounds what a foreign file can make us take.
    private static let largest = 4 << 20
    /// The field `checksum`: number 11, eight bytes.
    private static let checksumTag = UInt8(11 << 3 | 1)
    private static let damageRemedy = "publish the table again or activate another version"

    /// Reads and checks the manifest in a version's directory.
    static func read(in directory: Directory) throws(TableError) -> Manifest {
        guard let file = try directory.fileIfPresent(name) else {
            throw TableError(
                path: directory.path, reason: "is not a version of a table: it has no \(name)",
                remedy: "publish the table again")
        }
        return try decode(file.contents(limit: largest, remedy: damageRemedy), path: file.path)
    }

    /// Checks and decodes the bytes of a manifest.
    static func decode(_ bytes: [UInt8], path: String) throws(TableError) -> Manifest {
        let end = bytes.count - 9
        guard end >= 0, bytes[end] == checksumTag, Array(bytes[(end + 1)...]) == checksum(of: bytes[..<end]) else {
            throw TableError(
                path: path, reason: "is damaged or not a manifest: its checksum is wrong",
                remedy: damageRemedy)
        }
        let manifest: Manifest
        do {
            manifest = try Manifest(decoding: bytes)
        } catch {
            throw TableError(
                path: path, reason: "is not a manifest: \(error)", remedy: "publish the table again")
        }
        guard manifest.formatVersion == formatVersion else {
            throw TableError(
                path: path,
                reason: "has format \(manifest.formatVersion), this program reads format \(formatVersion)",
                remedy: manifest.formatVersion > formatVersion ? "update Fletch" : "publish the table again")
        }
        return manifest
    }

    /// The bytes of a manifest, its checksum computed.
    static func encode(_ manifest: Manifest) -> [UInt8] {
        var manifest = manifest
        manifest.checksum = 0
        let bytes = manifest.encoded()
        return bytes + [checksumTag] + checksum(of: bytes[...])
    }

    private static func checksum(of bytes: ArraySlice<UInt8>) -> [UInt8] {
        let hash = bytes.withUnsafeBytes { xxh3($0) }
        return withUnsafeBytes(of: hash.littleEndian) { Array($0) }
    }
}

extension Manifest {
    /// How the schema that the table was written under differs from this program's; nil where it does not.
    ///
    /// That is no error: whether a table can be read is for its format to say, which is checked. Within one format,
    /// fields that the writer did not know have their defaults, and those that this program does not know are kept.
    public var schemaDifference: String? {
        guard schemaFingerprint != ManifestSchema.fingerprint else { return nil }
        let schema = schemaFingerprint.isEmpty ? "a schema that it does not name" : "schema \(schemaFingerprint.quoted)"
        let writer = buildID.isEmpty ? "" : " by \(buildID.quoted)"
        return "written under \(schema)\(writer), this build has '\(ManifestSchema.fingerprint)'"
    }
}
