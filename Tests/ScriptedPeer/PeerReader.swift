internal import CNghttp2

/// Reads what a server sends: frames split at any byte, header lists decoded, gathered by stream.
public final class PeerReader {
    /// What a server has sent on one stream.
    public struct Response {
        public var fields: [(name: String, value: String)] = []
        public var data: [UInt8] = []
        public var ended = false
        public var resetCode: UInt32?

        public init() {}

        /// The first value of a header or trailer field.
        public subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

        public var httpStatus: String? { self[":status"] }
        /// The grpc-status number.
        public var status: Int? { self["grpc-status"].flatMap { Int($0) } }
        /// The message without its prefix; nil where there is not exactly one.
        public var message: [UInt8]? {
            guard data.count >= 5, data[0] == 0, Array(data[1..<5]) == bigEndian(UInt32(data.count - 5)) else {
                return nil
            }
            return Array(data[5...])
        }
    }

    public private(set) var responses: [UInt32: Response] = [:]
    /// Error code, last stream and debug data of every GOAWAY.
    public private(set) var goAways: [(code: UInt32, lastStream: UInt32, debugData: String)] = []
    public private(set) var pings: [[UInt8]] = []
    public private(set) var frameTypes: [UInt8] = []
    /// Bytes that WINDOW_UPDATE frames have granted for streams.
    public private(set) var windowGranted = 0

    /// Bytes of fields that the server has had us keep in HPACK's table.
    public var tableBytes: Int { nghttp2_hd_inflate_get_dynamic_table_size(inflater) }

    private var pending: [UInt8] = []
    private var headerBlock: [UInt8] = []
    private let inflater: OpaquePointer

    public init() {
        var inflater: OpaquePointer?
        guard nghttp2_hd_inflate_new(&inflater) == 0, let inflater else { fatalError("no memory for an inflater") }
        self.inflater = inflater
    }

    deinit { nghttp2_hd_inflate_del(inflater) }

    public func read(_ bytes: some Sequence<UInt8>) {
        pending += bytes
        while pending.count >= 9 {
            let length = Int(pending[0]) << 16 | Int(pending[1]) << 8 | Int(pending[2])
            guard pending.count >= 9 + length else { return }
            let stream = number(pending[5..<9])
            handle(type: pending[3], flags: pending[4], stream: stream, Array(pending[9..<9 + length]))
            pending.removeFirst(9 + length)
        }
    }

    private func handle(type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) {
        frameTypes.append(type)
        switch FrameType(rawValue: type) {
        case .data:
            responses[stream, default: Response()].data += payload
            if flags & Flag.endStream != 0 { responses[stream]?.ended = true }
        case .headers, .continuation:
            headerBlock += payload
            if flags & Flag.endStream != 0 { responses[stream, default: Response()].ended = true }
            guard flags & Flag.endHeaders != 0 else { return }
            responses[stream, default: Response()].fields += inflate()
        case .reset: responses[stream, default: Response()].resetCode = number(payload[0..<4])
        case .goAway:
            goAways.append(
                (number(payload[4..<8]), number(payload[0..<4]), String(decoding: payload[8...], as: UTF8.self)))
        case .windowUpdate where stream > 0: windowGranted += Int(number(payload[0..<4]))
        case .ping where flags & Flag.acknowledgement == 0: pings.append(payload)
        default: break
        }
    }

    private func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } & 0xFFFF_FFFF }

    private func inflate() -> [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = []
        var block = headerBlock[...]
        headerBlock = []
        while true {
            var field = nghttp2_nv()
            var flags: Int32 = 0
            let consumed = block.withUnsafeBufferPointer {
                nghttp2_hd_inflate_hd2(inflater, &field, &flags, $0.baseAddress, $0.count, 1)
            }
            precondition(consumed >= 0, "the server sent a header list that cannot be decoded")
            block = block.dropFirst(consumed)
            if UInt32(flags) & NGHTTP2_HD_INFLATE_EMIT.rawValue != 0 {
                fields.append((text(field.name, field.namelen), text(field.value, field.valuelen)))
            }
            if UInt32(flags) & NGHTTP2_HD_INFLATE_FINAL.rawValue != 0 {
                nghttp2_hd_inflate_end_headers(inflater)
                return fields
            }
        }
    }

    private func text(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> String {
        String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }
}
