internal import Foundation
internal import Related
internal import Tables

/// An error that says all there is to say in one line.
struct CommandError: Error, CustomStringConvertible {
    let description: String

    /// Whatever in `text`, from ids and names of others, could split or disguise the line is escaped.
    init(_ text: String) { description = text.inOneLine }
}

/// Writes a line to the standard output.
///
/// - Throws: where it cannot be written, so that no answer is lost without a word.
func say(_ line: String) throws {
    try write(line + "\n", to: STDOUT_FILENO, "standard output")
}

/// Writes a line for people to the standard error output, if that can be written.
func log(_ line: String) {
    try? write(line + "\n", to: STDERR_FILENO, "standard error")
}

private func write(_ text: String, to descriptor: Int32, _ name: String) throws {
    var bytes = Substring(text).utf8
    while !bytes.isEmpty {
        let count = Array(bytes).withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
            throw CommandError("\(name): cannot be written: \(String(cString: strerror(errno)))")
        }
        bytes = bytes.dropFirst(count)
    }
}

/// A file that a flag names for a report.
struct ReportFile {
    private let path: String

    /// Checks before the work that the file can be written after it.
    init(_ path: String, flag: String) throws {
        // A link stays, and what it leads to is written.
        self.path = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        var isDirectory: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: self.path, isDirectory: &isDirectory)
        guard !path.isEmpty, !isDirectory.boolValue else {
            throw CommandError("\(flag) '\(path)' is no file; name one")
        }
        let place = exists && !isRegular ? self.path : URL(fileURLWithPath: self.path).deletingLastPathComponent().path
        guard access(place, W_OK) == 0 else {
            let reason = String(cString: strerror(errno))
            throw CommandError("\(flag) '\(path)' cannot be written: \(place): \(reason); choose another place")
        }
    }

    /// Replaces the file as a whole; a device or a pipe is written to.
    func write(_ text: String) throws {
        guard FileManager.default.fileExists(atPath: path), !isRegular else {
            do {
                try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
            } catch {
                throw CommandError("\(path): cannot be written: check that there is room")
            }
            return
        }
        let descriptor = open(path, O_WRONLY)
        guard descriptor >= 0 else { throw CommandError("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        try fletch.write(text, to: descriptor, path)
    }

    private var isRegular: Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
}

/// A number with as many digits as it deserves in a report.
func formatted(_ value: Double) -> String {
    String(format: abs(value) >= 100 ? "%.1f" : "%.4g", value)
}

/// `1 repeat`, `2 repeats`.
func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
}

/// Bytes in the unit that reads best.
func formatted(bytes: Int) -> String {
    ByteCountFormatter.string(fromByteCount: Int64(bytes), countStyle: .file)
}

/// Shows how long work gets on: one line that changes on a terminal, lines now and then in a log.
final class ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) != 0
    private var lastShown = Date.distantPast
    private var isOpen = false

    /// Shows `text`, unless something was shown just before.
    func show(_ text: @autoclosure () -> String, isLast: Bool = false) {
        let now = Date()
        guard isLast || now.timeIntervalSince(lastShown) >= (isTerminal ? 0.1 : 10) else { return }
        lastShown = now
        if isTerminal {
            try? write("\r\u{1B}[K\(text())", to: STDERR_FILENO, "standard error")
            isOpen = true
        } else {
            log(text())
        }
    }

    /// Ends the line.
    func finish() {
        if isOpen { log("") }
        isOpen = false
    }
}

/// Epoch, loss, rate and time left of a training.
final class TrainingProgressLine {
    private let line = ProgressLine()

    func show(_ progress: TrainingProgress) {
        let done = (progress.epoch - 1) * progress.steps + progress.step
        line.show(
            String(
                format: "epoch %d/%d, step %d/%d: loss %.4f, %.1f steps/s, %.0f s left",
                progress.epoch, progress.epochs, progress.step, progress.steps, progress.loss,
                Double(done) / max(progress.secondsElapsed, 1e-9), progress.secondsLeft),
            isLast: done == progress.epochs * progress.steps)
    }

    func finish() { line.finish() }
}
