internal import Glibc

/// The fields of one record. They point into the reader and hold until its next record.
struct Fields {
    let base: UnsafeRawPointer
    let ranges: [Range<Int>]

    var count: Int { ranges.count }

    subscript(index: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + ranges[index].lowerBound, count: ranges[index].count)
    }
}

/// Cuts a CSV or TSV file into records.
final class RecordReader {
    private let file: String
    private let stream: ByteStream
    private var buffer: UnsafeMutableRawBufferPointer
    /// The part of ``buffer`` not yet handed out.
    private var pending = 0..<0
    private var atEnd = false
    private var separator = comma
    /// Whether fields may be quoted.
    private var knowsQuotes = true
    /// The line, from 1, on which the current record begins.
    private(set) var line = 0
    private var nextLine = 1
    private var ranges: [Range<Int>] = []

    private static let initialSize = 1 << 20
    /// A record longer than this is a broken quote or no text at all, and is refused rather than collected.
    private static let longestRecord = 1 << 24
    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let quote = UInt8(ascii: "\"")
    private static let comma = UInt8(ascii: ",")
    private static let tab = UInt8(ascii: "\t")

    init(file: String) throws(EdgeFileError) {
        self.file = file
        stream = try ByteStream(file: file)
        buffer = .allocate(byteCount: Self.initialSize, alignment: 16)
        try fill()
        while !atEnd, Self.find(Self.lineFeed, in: buffer, pending) == nil { try fill() }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        if UnsafeRawBufferPointer(rebasing: buffer[pending]).starts(with: mark) {
            pending = pending.lowerBound + mark.count..<pending.upperBound
        }
        chooseFormat()
    }

    deinit { buffer.deallocate() }

    /// An error at the current record.
    func error(_ reason: String, _ remedy: String) -> EdgeFileError {
        EdgeFileError(file: file, line: max(line, 1), reason: reason, remedy: remedy)
    }

    /// A tab in the first line makes the file tab-separated. Such a file has no quotes unless that line has them: there a
    /// quote is more often an inch than the beginning of a quoted field.
    private func chooseFormat() {
        let end = Self.find(Self.lineFeed, in: buffer, pending) ?? pending.upperBound
        let header = buffer[pending.lowerBound..<end]
        guard header.contains(Self.tab) else { return }
        separator = Self.tab
        knowsQuotes = header.split(separator: Self.tab).contains { $0.first == Self.quote }
    }

    /// The next record, or nil at the end.
    func next() throws(EdgeFileError) -> Fields? {
        line = nextLine
        guard let length = try recordLength() else { return nil }
        let record = UnsafeRawBufferPointer(rebasing: buffer[pending.lowerBound..<pending.lowerBound + length])
        pending = min(pending.lowerBound + length + 1, pending.upperBound)..<pending.upperBound
        try split(record)
        return Fields(base: record.baseAddress!, ranges: ranges)
    }

    /// The length of the record at the front of the pending bytes, without its line feed.
    private func recordLength() throws(EdgeFileError) -> Int? {
        var scanned = 0
        var isQuoted = false
        while true {
            let end = pending.lowerBound + scanned
            if let feed = Self.find(Self.lineFeed, in: buffer, end..<pending.upperBound) {
                nextLine += 1
                if knowsQuotes { countQuotes(end..<feed, &isQuoted) }
                scanned = feed + 1 - pending.lowerBound
                if !isQuoted { return scanned - 1 }
            } else if atEnd {
                guard !pending.isEmpty else { return nil }
                if knowsQuotes { countQuotes(end..<pending.upperBound, &isQuoted) }
                guard !isQuoted else { throw error("a quoted field has no end", "close the quote") }
                return pending.count
            } else {
                try fill()
            }
        }
    }

    private func countQuotes(_ range: Range<Int>, _ isQuoted: inout Bool) {
        var begin = range.lowerBound
        while let found = Self.find(Self.quote, in: buffer, begin..<range.upperBound) {
            isQuoted.toggle()
            begin = found + 1
        }
    }

    /// Moves the pending bytes to the front, makes room and reads on.
    private func fill() throws(EdgeFileError) {
        if pending.count == buffer.count {
            guard buffer.count < Self.longestRecord else {
                throw error("a record is longer than \(Self.longestRecord) bytes", "close the quote or break the line")
            }
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count * 2, alignment: 16)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[pending]))
            buffer.deallocate()
            buffer = larger
        } else if pending.lowerBound > 0, !pending.isEmpty {
            memmove(buffer.baseAddress!, buffer.baseAddress! + pending.lowerBound, pending.count)
        }
        pending = 0..<pending.count
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[pending.upperBound...])
        let count = try stream.read(into: room)
        atEnd = count == 0
        pending = 0..<pending.upperBound + count
    }

    /// Finds the fields of a record; quoted ones are unquoted in place.
    private func split(_ record: UnsafeRawBufferPointer) throws(EdgeFileError) {
        var record = record
        if record.last == Self.carriageReturn { record = UnsafeRawBufferPointer(rebasing: record.dropLast()) }
        if memchr(record.baseAddress!, 0, record.count) != nil {
            throw error("the row holds a NUL byte", "give text in UTF-8")
        }
        ranges.removeAll(keepingCapacity: true)
        let bytes = UnsafeMutableRawBufferPointer(mutating: record)
        let hasQuotes = knowsQuotes && memchr(record.baseAddress!, Int32(Self.quote), record.count) != nil
        var begin = 0
        repeat {
            let end: Int
            if hasQuotes, begin < bytes.count, bytes[begin] == Self.quote {
                end = try unquote(bytes, from: begin)
            } else {
                end = Self.find(separator, in: bytes, begin..<bytes.count) ?? bytes.count
                if hasQuotes, Self.find(Self.quote, in: bytes, begin..<end) != nil {
                    throw error("a quote inside an unquoted field", "quote the whole field and double its quotes")
                }
                ranges.append(begin..<end)
            }
            begin = end + 1
        } while begin <= bytes.count
    }

    /// Moves the content of the quoted field that begins at `begin` over its quotes; returns where the field ends.
    private func unquote(_ bytes: UnsafeMutableRawBufferPointer, from begin: Int) throws(EdgeFileError) -> Int {
        var read = begin + 1
        var write = begin
        while read < bytes.count {
            if bytes[read] == Self.quote {
                guard read + 1 < bytes.count, bytes[read + 1] == Self.quote else { break }
                read += 1
            }
            bytes[write] = bytes[read]
            write += 1
            read += 1
        }
        guard read < bytes.count else { throw error("a quoted field has no end", "close the quote") }
        let end = read + 1
        guard end == bytes.count || bytes[end] == separator else {
            throw error(
                "text after a closing quote",
                "separate the columns by commas or tabs, and double the quotes inside a quoted field")
        }
        ranges.append(begin..<write)
        return end
    }

    private static func find(_ byte: UInt8, in bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>) -> Int? {
        guard !range.isEmpty, let base = bytes.baseAddress else { return nil }
        guard let found = memchr(base + range.lowerBound, Int32(byte), range.count) else { return nil }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }
}
