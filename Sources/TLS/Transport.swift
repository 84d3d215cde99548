internal import COpenSSL

/// What stands in the place of a socket under OpenSSL: reads come from the bytes that the session was given, writes go
/// to the loop's buffers. Nothing is kept here, so nothing can grow.
struct Transport {
    /// What arrived and was not yet read.
    var input = UnsafeRawBufferPointer(start: nil, count: 0)
    let output: Unmanaged<TLSBuffers>
    /// Records that arrived and carry no data: handshake messages, alerts.
    var controlRecords = 0

    /// A BIO over the transport at `transport`, which must outlive it.
    static func makeBIO(_ transport: UnsafeMutablePointer<Transport>) -> OpaquePointer? {
        guard let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, transport)
        BIO_set_init(bio, 1)
        return bio
    }

    /// Made once, for all sessions; changed by nobody.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fletch transport")
        BIO_meth_set_read(method, readInput)
        BIO_meth_set_write(method, appendOutput)
        BIO_meth_set_ctrl(method, control)
        return method
    }()
}

/// The transport that a BIO, or a message callback, was given.
private func transport(_ data: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<Transport> {
    data!.assumingMemoryBound(to: Transport.self)
}

private func readInput(_ bio: OpaquePointer?, _ destination: UnsafeMutablePointer<CChar>?, _ capacity: Int32) -> Int32 {
    let transport = transport(BIO_get_data(bio))
    copenssl_clear_retry_flags(bio)
    let count = min(Int(capacity), transport.pointee.input.count)
    guard count > 0, let destination else {
        copenssl_set_retry_read(bio)
        return -1
    }
    UnsafeMutableRawPointer(destination).copyMemory(from: transport.pointee.input.baseAddress!, byteCount: count)
    transport.pointee.input = UnsafeRawBufferPointer(rebasing: transport.pointee.input.dropFirst(count))
    return Int32(count)
}

private func appendOutput(_ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
    copenssl_clear_retry_flags(bio)
    let piece = UnsafeRawBufferPointer(start: bytes, count: Int(count))
    if transport(BIO_get_data(bio)).pointee.output._withUnsafeGuaranteedRef({ $0.append(piece) }) { return count }
    copenssl_set_retry_write(bio)
    return -1
}

/// Only flushing is asked for that matters, and everything is always flushed.
private func control(_: OpaquePointer?, _ command: Int32, _: Int, _: UnsafeMutableRawPointer?) -> Int {
    command == BIO_CTRL_FLUSH ? 1 : 0
}

/// Counts received records that carry no data. In TLS 1.3 the type is inside the encrypted record.
func countControlRecords(
    isWrite: Int32, _: Int32, type: Int32, bytes: UnsafeRawPointer?, count: Int, _: OpaquePointer?,
    data: UnsafeMutableRawPointer?
) {
    guard isWrite == 0, type == SSL3_RT_HEADER || type == SSL3_RT_INNER_CONTENT_TYPE, count > 0, let bytes else {
        return
    }
    if bytes.load(as: UInt8.self) != UInt8(SSL3_RT_APPLICATION_DATA) {
        transport(data).pointee.controlRecords &+= 1
    }
}
