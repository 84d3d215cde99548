internal import Glibc

/// What was found when a version was checked as a whole, remembered beside it: whoever opens the version next need not
/// read all of it again before the first answer.
///
/// The file `.verified` of a version's directory names every file of the version with its device, inode, size and times
/// of modification and change, as they were before the check began. The kernel sets the time of change, so a file that
/// was written to, replaced, copied or restored since is told by it and checked again. It is believed only where the
/// user of this process or root wrote it and nobody else can: who may forge it could as well replace the program.
struct Verification: Equatable {
    static let name = ".verified"
    /// What a check may leave, far above what it does.
    private static let largest = 64 << 10
    /// Two changes within one tick of the kernel's clock (up to 10 ms) have one time. A file changed so shortly before
    /// its check ended may have been changed again since.
    private static let clockTick = Timestamp(seconds: 0, nanoseconds: 20_000_000)

    /// Which checks were made: the kind of the table and a number that rises with them.
    var checks: String
    /// Numbers that the check computed and that serving needs, by name.
    var facts: [String: Double]
    /// The files as they were.
    var files: [FileIdentity]
}

/// What changes whenever a file does.
struct FileIdentity: Equatable {
    var name: String
    var device: UInt64
    var inode: UInt64
    var size: Int64
    var modified: Timestamp
    var changed: Timestamp
}

/// Seconds and nanoseconds since 1970.
struct Timestamp: Equatable {
    var seconds: Int
    var nanoseconds: Int

    init(seconds: Int, nanoseconds: Int) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    init(_ time: timespec) {
        self.init(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// Whether this is at least `span` before another time.
    func precedes(_ other: Timestamp, by span: Timestamp) -> Bool {
        let (seconds, nanoseconds) = (seconds + span.seconds, nanoseconds + span.nanoseconds)
        let end = Timestamp(seconds: seconds + nanoseconds / 1_000_000_000, nanoseconds: nanoseconds % 1_000_000_000)
        return (end.seconds, end.nanoseconds) <= (other.seconds, other.nanoseconds)
    }
}

extension FileIdentity {
    /// What an open file is now.
    init(_ file: OpenFile, name: String) throws(TableError) {
        var status = stat()
        guard fstat(file.descriptor, &status) == 0 else { throw .system(file.path, "look at the file") }
        self.init(
            name: name, device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
            modified: Timestamp(status.st_mtim), changed: Timestamp(status.st_ctim))
    }
}

// MARK: - The file

extension Verification {
    /// What is remembered of a version; nil where nothing is, or nothing that may be believed.
    static func read(in directory: Directory) -> Verification? {
        guard let opened = try? directory.fileIfPresent(name) else { return nil }
        var status = stat()
        guard fstat(opened.descriptor, &status) == 0, status.st_uid == geteuid() || status.st_uid == 0,
            status.st_mode & (S_IWGRP | S_IWOTH) == 0,
            let bytes = try? opened.contents(limit: largest, remedy: ""),
            let verification = Verification(text: String(decoding: bytes, as: UTF8.self))
        else { return nil }
        let written = Timestamp(status.st_mtim)
        guard verification.files.allSatisfy({ $0.changed.precedes(written, by: clockTick) }) else { return nil }
        return verification
    }

    /// Remembers this; where the directory cannot be written, nothing is remembered.
    func write(in directory: Directory) {
        let temporary = Directory.temporaryName()
        do throws(TableError) {
            let file = try directory.makeFile(temporary)
            try file.write(Array(text.utf8), at: 0)
            try file.sync()
            try directory.rename(temporary, to: Self.name)
        } catch {
            directory.remove(temporary)
        }
    }

    /// Lines of words; numbers in decimal, those of floating point by their bits.
    private var text: String {
        var text = "verified \(checks)\n"
        for file in files {
            text += "file \(file.name) \(file.device) \(file.inode) \(file.size) "
            text += "\(file.modified.seconds) \(file.modified.nanoseconds) "
            text += "\(file.changed.seconds) \(file.changed.nanoseconds)\n"
        }
        for (name, value) in facts.sorted(by: { $0.key < $1.key }) { text += "fact \(name) \(value.bitPattern)\n" }
        return text + "end\n"
    }

    init?(text: String) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.split(separator: " ") }
        guard lines.popLast() == [], lines.popLast() == ["end"], let first = lines.first, first.count == 2,
            first[0] == "verified"
        else { return nil }
        self.init(checks: String(first[1]), facts: [:], files: [])
        for words in lines.dropFirst() {
            switch words.first {
            case "file":
                let numbers = words.dropFirst(2).compactMap { Int64($0) }
                guard words.count == 9, numbers.count == 7, numbers[0] >= 0, numbers[1] >= 0 else { return nil }
                files.append(
                    FileIdentity(
                        name: String(words[1]), device: UInt64(numbers[0]), inode: UInt64(numbers[1]),
                        size: numbers[2],
                        modified: Timestamp(seconds: Int(numbers[3]), nanoseconds: Int(numbers[4])),
                        changed: Timestamp(seconds: Int(numbers[5]), nanoseconds: Int(numbers[6]))))
            case "fact":
                guard words.count == 3, let bits = UInt64(words[2]) else { return nil }
                facts[String(words[1])] = Double(bitPattern: bits)
            default:
                return nil
            }
        }
    }
}
