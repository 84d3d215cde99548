import Glibc
import TestSupport
import Testing

@testable import Tables

/// Nothing but an untouched version may be believed without a look.
@Suite struct VerificationTests {
    private static let checks = "test/1"
    private let directory = TemporaryDirectory()
    private var store: Store { Store(path: directory.path + "/store") }
    private var version: String { store.path + "/t/1" }
    private var data: String { version + "/table.safetensors" }

    /// A published version that was checked once, longer than a tick of the clock after it was made.
    init() throws {
        let contents = TableContents(kind: "test", tensors: [TensorSpec("x", .uint8, shape: [64])], buildID: "b")
        _ = try store.publish("t", contents) { writer throws(TableError) in
            try writer.write([UInt8](repeating: 7, count: 64), to: "x")
        }
        usleep(50_000)
        try store.open("t").remember(Self.checks, ["norm": 0.1])
    }

    private func opened() throws -> Table { try store.open("t", trusting: true) }

    @Test func anUntouchedVersionIsBelieved() throws {
        let table = try opened()
        #expect(!table.isChecked)
        #expect(table.remembered(Self.checks) == ["norm": 0.1])
        #expect(table.remembered("test/2") == nil)
        try table.checkHashes()
        #expect(try store.open("t").isChecked)
    }

    @Test func aVersionWrittenToIsNot() throws {
        var before = stat()
        #expect(stat(data, &before) == 0)
        chmod(data, 0o644)
        let file = open(data, O_WRONLY)
        #expect(pwrite(file, "x", 1, off_t(before.st_size - 1)) == 1)
        // Whoever hides the change sets the time of modification back; that of the change nobody can.
        var times = (before.st_atim, before.st_mtim)
        let isSet = withUnsafePointer(to: &times) {
            $0.withMemoryRebound(to: timespec.self, capacity: 2) { futimens(file, $0) }
        }
        #expect(isSet == 0)
        close(file)
        #expect { try opened() } throws: { "\($0)".contains("another hash") }
    }

    @Test func aCopyIsNot() throws {
        let copy = data + ".copy"
        let bytes = try OpenFile(path: data).contents(limit: 1 << 20, remedy: "")
        let file = open(copy, O_WRONLY | O_CREAT, 0o444)
        #expect(bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) } == bytes.count)
        close(file)
        #expect(rename(copy, data) == 0)
        #expect(try opened().isChecked)
    }

    @Test func whatOthersCouldHaveWrittenIsNot() throws {
        chmod(version + "/" + Verification.name, 0o664)
        #expect(try opened().isChecked)
    }

    @Test func whatChangedJustBeforeTheCheckIsNot() throws {
        // The same bytes, but the kernel's clock may not have moved since.
        chmod(data, 0o644)
        try store.open("t").remember(Self.checks, [:])
        #expect(try opened().isChecked)
        usleep(50_000)
        try store.open("t").remember(Self.checks, [:])
        #expect(try !opened().isChecked)
    }

    @Test(arguments: ["", "verified\n", "verified test/1\nend\n", "verified test/1\nfile x 1\nend\n", "\u{0}\n\n\n"])
    func whatCannotBeReadIsNot(_ text: String) throws {
        let path = version + "/" + Verification.name
        let file = open(path, O_WRONLY | O_TRUNC)
        #expect(write(file, text, text.utf8.count) == text.utf8.count)
        close(file)
        #expect(try opened().isChecked)
    }
}
