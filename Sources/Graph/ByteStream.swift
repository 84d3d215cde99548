internal import FletchCompression
internal import Glibc

/// The bytes of a file from front to back, decompressed when the file begins with the magic bytes of gzip or Zstandard.
final class ByteStream {
    private let file: String
    private let descriptor: Int32
    private let input: UnsafeMutableRawBufferPointer
    /// The part of ``input`` not yet decoded.
    private var pending: Range<Int> = 0..<0
    /// Chosen by the first bytes of the file.
    private var decoder: Decoder?

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
                    guard decoder.isAtEnd else { throw damaged(DecompressionError.truncated.message) }
                    return 0
                }
            }
            let source = UnsafeRawBufferPointer(rebasing: input[pending])
            let step: DecodingStep
            do throws(DecompressionError) {
                step = try decoder.decode(source, into: output)
            } catch {
                throw damaged(error.message)
            }
            pending = pending.lowerBound + step.consumed..<pending.upperBound
            if step.produced > 0 { return step.produced }
        }
    }

    private func chosenDecoder() throws(EdgeFileError) -> Decoder {
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
        do throws(DecompressionError) {
            let decoder = try Decoder(head: head)
            self.decoder = decoder
            return decoder
        } catch {
            throw damaged(error.message)
        }
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

    private static func unreadable(_ file: String) -> EdgeFileError {
        let reason = String(cString: strerror(errno))
        return EdgeFileError(
            file: file, line: nil, reason: "cannot read the file: \(reason)",
            remedy: "give the path of a readable CSV or TSV file, plain, .gz or .zst")
    }
}

/// How a file is packed, undone piece by piece; gzip members and Zstandard frames may follow one another.
private final class Decoder {
    private enum Format {
        case plain
        case gzip(InflateDecoder)
        case zstandard(ZstandardDecoder)
    }

    private let format: Format
    /// Whether the input may end here.
    private(set) var isAtEnd: Bool
    /// Whether another call may produce bytes without further input.
    private(set) var holdsOutput = false

    /// Windows of up to 128 MiB: what `zstd` unpacks without being told to take more memory.
    private static let maxWindowLog: Int32 = 27

    /// Chooses by the first bytes of the file.
    init(head: UnsafeRawBufferPointer) throws(DecompressionError) {
        if head.starts(with: [0x1F, 0x8B]) {
            format = .gzip(try InflateDecoder(.gzip))
        } else if head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
            format = .zstandard(try ZstandardDecoder(maxWindowLog: Self.maxWindowLog))
        } else {
            format = .plain
        }
        isAtEnd = if case .plain = format { true } else { false }
    }

    /// Undoes as much as fits.
    func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(DecompressionError) -> DecodingStep {
        let step: DecodingStep
        switch format {
        case .plain:
            let count = min(input.count, output.count)
            output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
            step = DecodingStep(consumed: count, produced: count, isAtEnd: true)
        case .gzip(let decoder):
            if isAtEnd { decoder.restart(.gzip) }
            step = try decoder.decode(input, isWhole: false, into: output)
        case .zstandard(let decoder):
            step = try decoder.decode(input, into: output)
        }
        isAtEnd = step.isAtEnd
        holdsOutput = !isAtEnd && step.produced == output.count
        return step
    }
}
