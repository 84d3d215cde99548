import Glibc
import LinearAlgebra
import FletchSchema
import FletchWire
import Synchronization
import TestSupport
import Testing

@testable import Tables

private let contents = TableContents(
    kind: "test", tensors: [TensorSpec("x", .uint32, shape: [3]), TensorSpec("y", .uint8, shape: [5])], buildID: "b",
    metrics: ["m": 0.5], attributes: ["k": "v"])

extension Store {
    /// Publishes a small table whose tensor `x` holds `value` three times.
    @discardableResult
    fileprivate func publish(_ value: UInt32, version: Int? = nil) throws -> Int {
        try publish("t", version: version, contents) { writer throws(TableError) in
            try writer.write([value, value, value], to: "x")
            try writer.write([UInt8](1...5), to: "y")
        }
    }

    /// What the table that serves holds.
    fileprivate func value() throws -> UInt32 {
        let table = try open("t")
        defer { withExtendedLifetime(table) {} }
        return try table.tensor(named: "x").elements(as: UInt32.self, shape: [nil])[0]
    }
}

private func errorText(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "accepted"
    } catch {
        return "\(error)"
    }
}

@Suite struct StoreTests {
    private let directory = TemporaryDirectory()
    private var store: Store { Store(path: directory.path + "/store") }

    @Test func versionsFollowOneAnother() throws {
        #expect(try store.publish(10) == 1)
        #expect(try store.publish(20) == 2)
        #expect(try store.publish(70, version: 7) == 7)
        #expect(try store.publish(80) == 8)
        #expect(try store.names() == ["t"])
        #expect(try store.versions(of: "t").map(\.version) == [1, 2, 7, 8])
        #expect(try store.versions(of: "t").map(\.isCurrent) == [false, false, false, true])
        #expect(try store.versions(of: "t").allSatisfy { $0.size > 4096 + 17 })
        #expect(try store.value() == 80)
        try store.activate("t", version: 2)
        #expect(try store.currentVersion(of: "t") == 2)
        #expect(try store.value() == 20)
        #expect(TemporaryDirectory.names(in: store.path + "/t") == ["1", "2", "7", "8", "CURRENT"])
    }

    @Test func aTableSaysWhatItIs() throws {
        try store.publish(1)
        let table = try store.open("t")
        #expect(table.name == "t" && table.version == "1" && table.kind == "test")
        #expect(table.manifest.metrics.map(\.value) == [0.5])
        #expect(table.manifest.schemaFingerprint == ManifestSchema.fingerprint)
        #expect(Array(try table.tensor(named: "y").elements(as: UInt8.self, shape: [5])) == [1, 2, 3, 4, 5])
        #expect(errorText { _ = try table.tensor(named: "z") }.contains("has no tensor 'z'"))
    }

    @Test func anOpenTableOutlivesWhatReplacesIt() throws {
        try store.publish(1)
        let table = try store.open("t")
        try store.publish(2)
        #expect(try table.tensor(named: "x").elements(as: UInt32.self, shape: [3])[2] == 1)
    }

    @Test func filesOfAVersionAreReadOnly() throws {
        try store.publish(1)
        func mode(_ name: String) -> mode_t {
            var status = stat()
            return lstat(store.path + "/t/" + name, &status) == 0 ? status.st_mode & 0o777 : 0
        }
        let mask = umask(0o022)
        umask(mask)
        #expect(mode("1/table.safetensors") == 0o444 & ~mask)
        #expect(mode("1/manifest.binpb") == 0o444 & ~mask)
        #expect(mode("1") == 0o755 & ~mask)
        #expect(mode("CURRENT") == 0o644 & ~mask)
    }

    @Test func mistakesAreNamed() throws {
        #expect(errorText { _ = try store.names() }.contains("store: cannot open the directory: No such file"))
        #expect(errorText { _ = try store.currentVersion(of: "t") }.contains("store: cannot open the directory"))
        try store.publish(1)
        #expect(try store.currentVersion(of: "u") == nil)
        #expect(errorText { _ = try store.open("u") }.contains("has no table 'u'; publish it"))
        #expect(errorText { _ = try store.open("t", version: 3) }.contains("has no version 3; choose one of: 1"))
        #expect(errorText { try store.activate("t", version: 3) }.contains("has no version 3"))
        #expect(errorText { try store.publish(2, version: 1) }.contains("is there already"))
        #expect(errorText { try store.publish(2, version: 0) }.contains("cannot hold a version 0; choose"))
        for name in ["", ".", "..", "../t", "T", "-t", "a/b", "t ", "t\0", ".t", String(repeating: "t", count: 129)] {
            #expect(errorText { _ = try store.open(name) }.contains("cannot hold a table named"))
            #expect(errorText { _ = try store.publish(name, contents) { _ in } }.contains("cannot hold a table named"))
        }
        #expect(errorText { _ = try store.open("a\n\u{1b}") }.contains("a table named 'a\\n\\u{1B}'; use up to"))
        unlink(store.path + "/t/CURRENT")
        #expect(errorText { _ = try store.open("t") }.contains("CURRENT: is missing"))
        #expect(errorText { _ = try store.open("t") }.hasSuffix("no version was activated; activate one of: 1"))
        #expect(try store.open("t", version: 1).version == "1")
        for text in ["", "1", "x\n", "01\n", "-1\n", "0\n", "1\n\n", "99999999999999999999\n"] {
            writeBytes(Array(text.utf8), to: store.path + "/t/CURRENT")
            for error in [
                errorText { _ = try store.open("t") }, errorText { _ = try store.currentVersion(of: "t") },
            ] {
                #expect(error.hasSuffix("CURRENT: does not hold a version; activate one of: 1"), "\(text): \(error)")
            }
        }
    }

    @Test(arguments: [
        ("abc", "does not hold a version; activate one of: 1, 2"),
        ("99\n", "names version 99, which is not there; activate one of: 1, 2"),
        (
            String(repeating: "2", count: 65),
            "has 65 bytes, more than the 64 that such a file may have; activate one of: 1, 2"
        ),
    ])
    func aWrongCurrentHidesNoVersion(text: String, error: String) throws {
        try store.publish(10)
        try store.publish(20)
        let current = store.path + "/t/CURRENT"
        writeBytes(Array(text.utf8), to: current)
        #expect(try store.names() == ["t"])
        #expect(try store.versions(of: "t").map(\.version) == [1, 2])
        #expect(try !store.versions(of: "t").contains(where: \.isCurrent))
        #expect(errorText { _ = try store.currentVersion(of: "t") } == "\(current): \(error)")
        #expect(errorText { _ = try store.open("t") } == "\(current): \(error)")
        #expect(errorText { _ = try store.manifest(of: "t") } == "\(current): \(error)")
        try store.activate("t", version: 1)
        #expect(try store.value() == 10)
        writeBytes(Array(text.utf8), to: current)
        #expect(try store.publish(30) == 3)
        #expect(try store.value() == 30)
    }

    @Test func anErrorNamesTheNewestVersionsOnly() throws {
        for version in 1...12 { try store.publish(UInt32(version)) }
        #expect(
            errorText { _ = try store.open("t", version: 13) }
                .hasSuffix("has no version 13; choose one of: ..., 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"))
    }

    @Test func foreignThingsInAStoreAreIgnored() throws {
        try store.publish(1)
        writeBytes([1], to: store.path + "/t/README")
        writeBytes([1], to: store.path + "/notes")
        mkdir(store.path + "/empty", 0o755)
        mkdir(store.path + "/t/x1", 0o755)
        mkdir(store.path + "/t/99999999999999999999", 0o755)
        mkdir(store.path + "/t/\(Int.max)", 0o755)
        mkdir(store.path + "/t/1/more", 0o755)
        symlink("/etc", store.path + "/t/3")
        writeBytes([1], to: store.path + "/t/4")
        symlink("/etc", store.path + "/links")
        mkdir(store.path + "/only-links", 0o755)
        symlink("/etc", store.path + "/only-links/1")
        #expect(try store.names() == ["t"])
        #expect(try store.versions(of: "t").map(\.version) == [1])
        #expect(
            errorText { _ = try store.open("t", version: 3) } == store.path
                + "/t/3: is a symbolic link, which a store does not follow; put the directory itself in its place")
        #expect(
            errorText { _ = try store.open("t", version: 4) } == store.path
                + "/t/4: is not a directory; put the directory itself in its place")
        #expect(errorText { try store.publish(2, version: 3) }.contains("/t/3: is there already"))
        #expect(errorText { try store.activate("t", version: 3) }.contains("is a symbolic link"))
        #expect(try store.publish(2) == 5)
        #expect(try store.versions(of: "t").map(\.version) == [1, 5])
    }

    /// What is hidden by its permissions is not taken for absent.
    @Test(.enabled(if: geteuid() != 0, "root may read everything"))
    func whatCannotBeReadIsNamed() throws {
        try store.publish(1)
        mkdir(store.path + "/locked", 0)
        mkdir(store.path + "/t/2", 0)
        #expect(try store.names() == ["locked", "t"])
        #expect(errorText { _ = try store.versions(of: "locked") }.contains("/locked: cannot open the directory"))
        #expect(try store.versions(of: "t").map(\.version) == [1, 2])
        #expect(errorText { _ = try store.open("t", version: 2) }.contains("/t/2: cannot open the directory"))
    }

    @Test func symbolicLinksAreNotFollowed() throws {
        try store.publish(1)
        rename(store.path + "/t/1", directory.path + "/elsewhere")
        symlink(directory.path + "/elsewhere", store.path + "/t/1")
        #expect(errorText { _ = try store.open("t") }.contains("/t/1: is a symbolic link"))
        unlink(store.path + "/t/1")
        rename(directory.path + "/elsewhere", store.path + "/t/1")
        rename(store.path + "/t/1/table.safetensors", directory.path + "/file")
        symlink(directory.path + "/file", store.path + "/t/1/table.safetensors")
        #expect(errorText { _ = try store.open("t") }.contains("symbolic link"))
        symlink(store.path + "/t", store.path + "/u")
        #expect(errorText { _ = try store.open("u") }.contains("/u: is a symbolic link"))
    }
}

// MARK: - Damage

@Suite struct DamageTests {
    private let directory = TemporaryDirectory()
    private let store: Store
    private let version: String
    private var data: String { version + "/table.safetensors" }
    private var manifest: String { version + "/manifest.binpb" }

    init() throws {
        store = Store(path: directory.path)
        try store.publish(1)
        version = directory.path + "/t/1"
    }

    /// The error of opening the table while a file holds other bytes.
    private func error(with bytes: [UInt8], in path: String) -> String {
        let before = readBytes(path)
        defer { writeBytes(before, to: path) }
        writeBytes(bytes, to: path)
        return errorText { _ = try store.open("t") }
    }

    /// Every bit but those of the spaces that pad the header, of which some are tried.
    @Test func anyFlippedBitIsRefused() throws {
        for path in [manifest, data] {
            let bytes = readBytes(path)
            let padding = path == data ? 600..<4000 : 0..<0
            for byte in bytes.indices where !padding.contains(byte) || byte % 97 == 0 {
                for bit in 0..<8 {
                    writeByte(bytes[byte] ^ 1 << UInt8(bit), at: byte, of: path)
                    let text = errorText { _ = try store.open("t") }
                    #expect(text.hasPrefix(path), "byte \(byte) bit \(bit): \(text)")
                }
                writeByte(bytes[byte], at: byte, of: path)
            }
        }
        #expect(try store.value() == 1)
    }

    @Test func anyOtherLengthIsRefused() throws {
        for path in [manifest, data] {
            let bytes = readBytes(path)
            chmod(path, 0o644)
            for length in bytes.indices.reversed() {
                truncate(path, length)
                #expect(errorText { _ = try store.open("t") }.hasPrefix(path))
            }
            writeBytes(bytes, to: path)
            #expect(error(with: bytes + [0], in: path).hasPrefix(path))
            #expect(error(with: bytes + bytes, in: path).hasPrefix(path))
        }
    }

    @Test func foreignFilesAreRefused() throws {
        for foreign in [Array("PK\u{3}\u{4} not a table".utf8), [UInt8](repeating: 0, count: 9), Array("{}".utf8)] {
            #expect(error(with: foreign, in: manifest).contains("is damaged or not a manifest"))
            #expect(error(with: foreign, in: data).contains("the manifest says"))
        }
        unlink(data)
        #expect(errorText { _ = try store.open("t") }.contains("table.safetensors: is missing"))
        unlink(manifest)
        #expect(errorText { _ = try store.open("t") }.contains("is not a version of a table: it has no manifest.binpb"))
    }

    @Test func aTableOfAnotherPlaceIsRefused() throws {
        rename(directory.path + "/t", directory.path + "/u")
        #expect(errorText { _ = try store.open("u") }.contains("holds version '1' of the table 't'"))
        rename(directory.path + "/u/1", directory.path + "/u/2")
        #expect(errorText { _ = try store.open("u", version: 2) }.contains("holds version '1'"))
    }

    /// A manifest that is whole but says something untrue is refused whatever it is.
    @Test func everyUntrueStatementIsRefused() throws {
        let truth = try ManifestFile.decode(readBytes(manifest), path: "m")
        func refusal(_ change: (inout Manifest) -> Void) -> String {
            var lie = truth
            change(&lie)
            #expect(lie != truth)
            return error(with: ManifestFile.encode(lie), in: manifest)
        }
        #expect(refusal { $0.attributes = [] } == "accepted")
        #expect(refusal { $0.formatVersion = 2 }.contains("format 2, this program reads format 1; update Fletch"))
        #expect(refusal { $0.formatVersion = 0 }.contains("format 0"))
        #expect(refusal { $0.name = "u" }.contains("holds version"))
        #expect(refusal { $0.version = "01" }.contains("holds version"))
        #expect(refusal { $0.files = [] }.contains("has not the tensor"))
        #expect(refusal { $0.files.append($0.files[0]) }.contains("names the file 'table.safetensors' twice"))
        #expect(refusal { $0.files[0].size += 1 }.contains("the manifest says"))
        #expect(refusal { $0.files[0].headerXxh3 += 1 }.contains("its header has another hash"))
        for name in ["", "../t", "/etc/passwd", ".", "..", "a/b", "manifest.binpb", "x\0"] {
            #expect(refusal { $0.files[0].name = name }.contains("impossible file"))
        }
        #expect(refusal { $0.files[0].name = "gone.safetensors" }.contains("is missing"))
        #expect(refusal { $0.tensors.removeLast() }.contains("which the manifest does not list"))
        #expect(refusal { $0.tensors.append($0.tensors[0]) }.contains("has not the tensor"))
        #expect(refusal { $0.tensors[0].name = "z" }.contains("has not the tensor 'z'"))
        #expect(refusal { $0.tensors[0].file = "other" }.contains("other: has not the tensor"))
        #expect(refusal { $0.tensors[0].dtype = "I32" }.contains("otherwise"))
        #expect(refusal { $0.tensors[0].shape = [1, 3] }.contains("otherwise"))
        #expect(refusal { $0.tensors[0].offset += 4 }.contains("otherwise"))
        #expect(refusal { $0.tensors[0].size = .max }.contains("otherwise"))
        #expect(refusal { $0.tensors[1].xxh3 ^= 1 }.contains("tensor 'y' has another hash"))
    }
}

// MARK: - Tables of other versions of the schema

@Suite struct SchemaTests {
    private let directory = TemporaryDirectory()
    private var store: Store { Store(path: directory.path) }
    private var manifest: String { directory.path + "/t/1/manifest.binpb" }

    init() throws { try store.publish(1) }

    /// The store's table once its manifest was written by another version of Fletch.
    private func open(_ change: (inout Manifest) throws -> Void) throws -> Table {
        var other = try ManifestFile.decode(readBytes(manifest), path: manifest)
        try change(&other)
        writeBytes(ManifestFile.encode(other), to: manifest)
        return try store.open("t")
    }

    /// Field 1000, a string, which no version of the schema has.
    private let unknownField: [UInt8] = [0xC2, 0x3E, 3] + Array("new".utf8)

    @Test func theSameSchemaIsNoNews() throws {
        #expect(try store.open("t").manifest.schemaDifference == nil)
    }

    /// Whoever wrote it knew less: what a format 1 needs not is not there.
    @Test func olderTablesAreServed() throws {
        let table = try open {
            $0.schemaFingerprint = ""
            $0.buildID = ""
            $0.metrics = []
            $0.attributes = []
        }
        #expect(
            table.manifest.schemaDifference
                == "written under a schema that it does not name, this build has '\(ManifestSchema.fingerprint)'")
        #expect(try store.value() == 1)
    }

    /// Whoever wrote it knew more, in every message that a manifest is made of.
    @Test func newerTablesAreServedAndKeepTheirFields() throws {
        let table = try open {
            $0.files[0] = try File(decoding: $0.files[0].encoded() + unknownField)
            $0.tensors[1] = try Tensor(decoding: $0.tensors[1].encoded() + unknownField)
            $0.metrics[0] = try Metric(decoding: $0.metrics[0].encoded() + unknownField)
            $0.schemaFingerprint = "fedcba9876543210"
            $0.buildID = "fletch 99"
            var bytes = $0
            bytes.checksum = 0
            $0 = try Manifest(decoding: bytes.encoded() + unknownField)
        }
        #expect(try store.value() == 1)
        #expect(
            table.manifest.schemaDifference == "written under schema 'fedcba9876543210' by 'fletch 99', this build has "
                + "'\(ManifestSchema.fingerprint)'")
        // Written once more, by a program that changes something else.
        let before = readBytes(manifest)
        let rewritten = try open { $0.attributes = [] }
        let kept = [
            rewritten.manifest.encoded(), rewritten.manifest.files[0].encoded(),
            rewritten.manifest.tensors[1].encoded(),
            rewritten.manifest.metrics[0].encoded(),
        ]
        #expect(kept.allSatisfy { $0.suffix(unknownField.count) == unknownField[...] })
        // The checksum is last all the same: nine bytes at the end.
        #expect(before[before.count - 9] == 0x59)
    }

    @Test func aNewerFormatIsRefusedWithTheRemedy() {
        let text = errorText { _ = try open { $0.formatVersion = 2 } }
        #expect(text == "\(manifest): has format 2, this program reads format 1; update Fletch")
    }
}

// MARK: - Publishers that fail or are stopped

@Suite struct PublishTests {
    private let directory = TemporaryDirectory()
    private var store: Store { Store(path: directory.path + "/store") }

    @Test func aPublisherThatFailsLeavesNothing() throws {
        let failure = TableError(path: "p", reason: "r", remedy: "s")
        func fail() -> String {
            errorText { _ = try store.publish("t", contents) { _ throws(TableError) in throw failure } }
        }
        #expect(fail() == "p: r; s")
        #expect(TemporaryDirectory.names(in: store.path) == [])
        try store.publish(1)
        #expect(fail() == "p: r; s")
        #expect(TemporaryDirectory.names(in: store.path + "/t") == ["1", "CURRENT"])
        #expect(try store.value() == 1)
    }

    @Test func aStoreThatIsNoDirectoryIsNamed() throws {
        writeBytes([1], to: directory.path + "/file")
        #expect(
            errorText { try Store(path: directory.path + "/file").publish(1) }
                == directory.path + "/file: cannot open the directory: Not a directory; give the path of a directory")
        #expect(errorText { try Store(path: directory.path + "/file/s").publish(1) }.contains("make the directory"))
        #expect(errorText { try Store(path: directory.path + "/none/s").publish(1) }.contains("make the directory"))
        #expect(readBytes(directory.path + "/file") == [1])
    }

    @Test func publishersAtOnceGetVersionsOfTheirOwn() throws {
        let store = store
        let versions = Mutex<[Int]>([])
        parallelFor(count: 8, grain: 1) { range in
            let version = try? store.publish(UInt32(range.lowerBound))
            versions.withLock { $0.append(version ?? 0) }
        }
        #expect(versions.withLock { $0.sorted() } == Array(1...8))
        #expect(TemporaryDirectory.names(in: store.path + "/t").count == 9)
        for version in 1...8 { #expect(throws: Never.self) { try store.open("t", version: version) } }
    }

    /// Neither does a publisher at work keep others waiting, nor do they take its unfinished work for a leftover.
    @Test func aLongPublisherIsLeftAlone() throws {
        let store = store
        let version = try store.publish("t", contents) { writer throws(TableError) in
            try writer.write([7, 7, 7] as [UInt32], to: "x")
            #expect((try? store.publish(8)) == 1)
            try writer.write([UInt8](1...5), to: "y")
        }
        #expect(version == 2)
        #expect(try store.value() == 7)
    }

    @Test(arguments: PublishStep.allCases)
    func aKilledPublisherLeavesAVersionThatServes(step: PublishStep) throws {
        try store.publish(1)
        #expect(Publisher.run([store.path, "kill", step.rawValue]) == .signal(SIGKILL))
        #expect(try store.currentVersion(of: "t") == (step == .activated ? 2 : 1))
        _ = try store.open("t")
        let next = try store.publish(3)
        #expect(next == ([.madeVersion, .wroteCurrent, .activated].contains(step) ? 3 : 2))
        #expect(try store.value() == 3)
        #expect(!TemporaryDirectory.names(in: store.path + "/t").contains { $0.hasPrefix(".") })
        for version in try store.versions(of: "t") { _ = try store.open("t", version: version.version) }
    }

    @Test func aPublisherKilledAtAnyTimeLeavesAVersionThatServes() throws {
        try store.publish(1)
        var generator = SeededGenerator(seed: 1)
        var current = 1
        for _ in 0..<12 {
            let publisher = Publisher([store.path, "loop"])
            // It publishes at least once, and is somewhere in the next one when it is killed.
            while try store.currentVersion(of: "t") == current { usleep(1000) }
            usleep(UInt32(generator.uniform(below: 10_000)))
            publisher.kill()
            #expect(publisher.wait() == .signal(SIGKILL))
            let version = try #require(try store.currentVersion(of: "t"))
            #expect(version > current)
            current = version
            _ = try store.open("t")
        }
    }

    @Test(arguments: [1000, 5000, 20_500])
    func aFullDiskLeavesNothing(limit: Int) throws {
        let output = directory.path + "/output"
        #expect(
            Publisher([store.path, "limit", "\(limit)"], output: output).wait() == .exit(limit > 20_480 ? 0 : 1))
        if limit < 20_480 {
            let text = String(decoding: readBytes(output), as: UTF8.self)
            #expect(text.hasPrefix(store.path + "/t/.tmp-"), "\(text)")
            #expect(
                text.hasSuffix(
                    "/table.safetensors: cannot take 20480 bytes of disk space: File too large; "
                        + "raise the limit of file sizes (ulimit -f) or choose a file system for larger files\n"),
                "\(text)")
            #expect(TemporaryDirectory.names(in: store.path) == [])
            try store.publish(1)
            #expect(Publisher.run([store.path, "limit", "\(limit)"]) == .exit(1))
            #expect(TemporaryDirectory.names(in: store.path + "/t") == ["1", "CURRENT"])
        }
    }
}

/// The program `publisher` of this package, running.
private struct Publisher {
    enum End: Equatable {
        case exit(Int32)
        case signal(Int32)
    }

    private let process: pid_t

    /// Starts it; `output` is a file for what it prints.
    init(_ arguments: [String], output: String = "/dev/null") {
        var link = [CChar](repeating: 0, count: 4096)
        readlink("/proc/self/exe", &link, link.count - 1)
        let own = link.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let path = own[..<own.lastIndex(of: "/")!] + "/publisher"
        var argv = ([String(path)] + arguments).map { strdup($0) }
        argv.append(nil)
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output, O_WRONLY | O_CREAT, 0o600)
        defer { posix_spawn_file_actions_destroy(&files) }
        var process: pid_t = 0
        let code = posix_spawn(&process, String(path), &files, nil, argv, environ)
        argv.forEach { free($0) }
        precondition(code == 0, "cannot start \(path)")
        self.process = process
    }

    static func run(_ arguments: [String]) -> End { Publisher(arguments).wait() }

    func kill() { Glibc.kill(process, SIGKILL) }

    func wait() -> End {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        return status & 0x7f == 0 ? .exit(status >> 8 & 0xff) : .signal(status & 0x7f)
    }
}
