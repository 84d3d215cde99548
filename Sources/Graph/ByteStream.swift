internal import CZlib
internal import CZstd
internal import Glibc

/// The bytes of a file from front to back, decompressed when the file begins with the magic bytes of gzip or Zstandard.
final class ByteStream {
    private let file: String
    private let descriptor: Int32
    private let input: UnsafeMutableRawBufferPointer
    /// The part of ``input`` not yet decoded.
    private var pending: Range<Int> = 0..<0
    /// Chosen by the first bytes of the file.
    private var decoder: (any Decoder)?

    /// Bytes read from the file at a time: large enough to hide the cost of a system call.
    private static let inputSize = 1 << 18

    /// What people have instead of CSV or TSV, by its first bytes: better named than read as broken text.
    private static let foreignFormats: [(magic: [UInt8], name: String, remedy: String)] = [
        (Array("BZh".utf8), "compressed with bzip2", unpack),
        ([0xFD] + Array("7zXZ\0".utf8), "compressed with xz", unpack),
        (Array("7z".utf8) + [0xBC, 0xAF, 0x27, 0x1C], "a 7z archive", unpack),
        (Array("PK\u{3}\u{4}".utf8), "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV in UTF-8"),
        (Array("PAR1".utf8), "in Parquet format", "write the edges as CSV or TSV"),
        ([0xFF, 0xFE], "UTF-16 text", "convert it to UTF-8"),
        ([0xFE, 0xFF], "UTF-16 text", "convert it to UTF-8"),
    ]
    private static let unpack = "unpack it, or compress it with gzip or zstd"

    init(file: String) throws(EdgeFileError) {
        self.file = file
        descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.unreadable(file) }
        input = .allocate(byteCount: Self.inputSize, alignment: 16)
    }

    deinit {
        input.deallocate()
        close(descriptor)
    }

    /// Fills the front of a buffer and returns how many bytes it wrote, 0 only at the end of the file.
    func read(into output: UnsafeMutableRawBufferPointer) throws(EdgeFileError) -> Int {
        let decoder = try chosenDecoder()
        while true {
            if pending.isEmpty, !decoder.holdsOutput {
                try refill()
                if pending.isEmpty {
                    guard decoder.isAtEnd else { throw damaged("the compressed data ends too early") }
                    return 0
                }
            }
            let source = UnsafeRawBufferPointer(rebasing: input[pending])
            guard let step = decoder.decode(source, into: output) else {
                throw damaged("the compressed data is damaged")
            }
            pending = pending.lowerBound + step.consumed..<pending.upperBound
            if step.produced > 0 { return step.produced }
        }
    }

    private func chosenDecoder() throws(EdgeFileError) -> any Decoder {
        if let decoder { return decoder }
        try refill()
        guard !pending.isEmpty else {
            throw EdgeFileError(
                file: file, line: nil, reason: "the file is empty", remedy: "give a file with a header and edges")
        }
        let head = UnsafeRawBufferPointer(rebasing: input[pending])
        if let format = Self.foreignFormats.first(where: { head.starts(with: $0.magic) }) {
            throw EdgeFileError(file: file, line: nil, reason: "the file is \(format.name)", remedy: format.remedy)
        }
        let decoder = Self.decoder(for: head)
        self.decoder = decoder
        return decoder
    }

    private func refill() throws(EdgeFileError) {
        var count = Glibc.read(descriptor, input.baseAddress, input.count)
        while count < 0, errno == EINTR { count = Glibc.read(descriptor, input.baseAddress, input.count) }
        guard count >= 0 else { throw Self.unreadable(file) }
        pending = 0..<count
    }

    private func damaged(_ reason: String) -> EdgeFileError {
        EdgeFileError(file: file, line: nil, reason: reason, remedy: "copy or compress the file again")
    }

    private static func decoder(for head: UnsafeRawBufferPointer) -> any Decoder {
        if head.starts(with: [0x1F, 0x8B]) { return GzipDecoder() }
        if head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { return ZstandardDecoder() }
        return PlainDecoder()
    }

    private static func unreadable(_ file: String) -> EdgeFileError {
        let reason = String(cString: strerror(errno))
        return EdgeFileError(
            file: file, line: nil, reason: "cannot read the file: \(reason)",
            remedy: "give the path of a readable CSV or TSV file, plain, .gz or .zst")
    }
}

/// One way of packing bytes, undone piece by piece.
private protocol Decoder: AnyObject {
    /// Whether the input may end here.
    var isAtEnd: Bool { get }
    /// Whether another call would produce bytes without further input.
    var holdsOutput: Bool { get }
    /// Undoes as much as fits; nil when the input is damaged. Each call consumes or produces something.
    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> (consumed: Int, produced: Int)?
}

private final class PlainDecoder: Decoder {
    var isAtEnd: Bool { true }
    var holdsOutput: Bool { false }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> (consumed: Int, produced: Int)? {
        let count = min(input.count, output.count)
        output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
        return (count, count)
    }
}

/// RFC 1952, also several members one after the other.
private final class GzipDecoder: Decoder {
    private let stream: UnsafeMutablePointer<z_stream>
    private(set) var isAtEnd = false
    // The trailer is consumed only once all output is out.
    var holdsOutput: Bool { false }

    init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // 15 bits of window, plus 16 for the gzip wrapper.
        let status = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib could not allocate its state")
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
    }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> (consumed: Int, produced: Int)? {
        if isAtEnd {
            inflateReset(stream)
            isAtEnd = false
        }
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        stream.pointee.avail_in = UInt32(input.count)
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(output.count)
        let status = inflate(stream, Z_NO_FLUSH)
        guard status == Z_OK || status == Z_STREAM_END else { return nil }
        isAtEnd = status == Z_STREAM_END
        return (input.count - Int(stream.pointee.avail_in), output.count - Int(stream.pointee.avail_out))
    }
}

/// RFC 8878, also several frames one after the other.
private final class ZstandardDecoder: Decoder {
    private let stream = ZSTD_createDStream()
    private(set) var isAtEnd = false
    private(set) var holdsOutput = false

    deinit { ZSTD_freeDStream(stream) }

    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) -> (consumed: Int, produced: Int)? {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var sink = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let hint = ZSTD_decompressStream(stream, &sink, &source)
        guard ZSTD_isError(hint) == 0 else { return nil }
        isAtEnd = hint == 0
        holdsOutput = !isAtEnd && sink.pos == output.count
        return (source.pos, sink.pos)
    }
}
