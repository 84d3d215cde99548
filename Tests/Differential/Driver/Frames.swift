// What the differential tests and the drivers of Swift libraries say to each other: frames over standard input and
// output. A question is a type's index, a length and an encoded message; an answer is a list of fields.

internal import Glibc

/// Reads questions and writes answers until standard input ends.
///
/// Before the first question the driver says how many types there are, and the name of each.
func serve(typeNames: [String], answer: (_ type: Int, _ message: [UInt8]) -> Answer) {
    var names: [UInt8] = []
    for name in typeNames { names.appendField(Array(name.utf8)) }
    write(names.count.littleEndian32 + names)
    while let head = read(8) {
        let type = Int(littleEndian32: head[0..<4])
        guard let message = read(Int(littleEndian32: head[4..<8])) else { fatalError("a question is cut short") }
        // One at a time, so that after a crash the tests know which message it was.
        write(answer(type, message).bytes)
    }
}

/// What a library makes of a message.
enum Answer {
    /// The encodings of the decoded message, in the order that the driver's tests know, and the names of broken laws.
    case accepted(encodings: [[UInt8]], brokenLaws: [String])
    case refused(reason: String)

    fileprivate var bytes: [UInt8] {
        var fields: [UInt8] = []
        switch self {
        case .accepted(let encodings, let brokenLaws):
            fields.appendField(Array(brokenLaws.joined(separator: "; ").utf8))
            for encoding in encodings { fields.appendField(encoding) }
            return [1] + fields.count.littleEndian32 + fields
        case .refused(let reason):
            fields.appendField(Array(reason.utf8))
            return [0] + fields.count.littleEndian32 + fields
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendField(_ field: [UInt8]) {
        append(contentsOf: field.count.littleEndian32)
        append(contentsOf: field)
    }
}

extension Int {
    fileprivate var littleEndian32: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) } }

    fileprivate init(littleEndian32 bytes: ArraySlice<UInt8>) {
        self = bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}

/// The next bytes of standard input; nil where it ends.
private func read(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
        let got = bytes.withUnsafeMutableBytes { Glibc.read(0, $0.baseAddress! + filled, count - filled) }
        guard got > 0 else { return nil }
        filled += got
    }
    return bytes
}

private func write(_ bytes: [UInt8]) {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes { Glibc.write(1, $0.baseAddress! + written, $0.count - written) }
        guard count > 0 else { exit(1) }
        written += count
    }
}
