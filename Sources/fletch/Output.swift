internal import Foundation
internal import Related

/// An error that says all there is to say in one line.
struct CommandError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Writes a line for people to the standard error output.
func log(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
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
            FileHandle.standardError.write(Data("\r\u{1B}[K\(text())".utf8))
            isOpen = true
        } else {
            log(text())
        }
    }

    /// Ends the line.
    func finish() {
        if isOpen { FileHandle.standardError.write(Data("\n".utf8)) }
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
