import Glibc
import ScriptedPeer

/// A server that does with each connection what a test says, one after the other, on a thread of its own.
final class ScriptedServer: Sendable {
    let target: String
    private let listener: Int32

    /// Bytes that the system keeps for a server that does not read.
    private static let receiveBuffer: Int32 = 64 << 10

    /// `script` gets each connection and its number, from 0.
    init(connections: Int = 1, _ script: @escaping @Sendable (Int, ScriptedConnection) -> Void) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var size = Self.receiveBuffer
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutableBytes(of: &name) {
            let address = $0.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            precondition(bind(listener, address, length) == 0 && listen(listener, 8) == 0)
            getsockname(listener, address, &length)
        }
        self.listener = listener
        target = "127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
        let box = Unmanaged.passRetained(Script(listener: listener, connections: connections, run: script))
        var thread = pthread_t()
        pthread_create(&thread, nil, runScript, box.toOpaque())
        pthread_detach(thread)
    }

    // A thread that waits for a connection sees this.
    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }
}

private final class Script {
    let listener: Int32
    let connections: Int
    let run: (Int, ScriptedConnection) -> Void

    init(listener: Int32, connections: Int, run: @escaping (Int, ScriptedConnection) -> Void) {
        self.listener = listener
        self.connections = connections
        self.run = run
    }
}

private func runScript(_ box: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let script = Unmanaged<Script>.fromOpaque(box!).takeRetainedValue()
    for number in 0..<script.connections {
        let descriptor = accept(script.listener, nil, nil)
        guard descriptor >= 0 else { break }
        script.run(number, ScriptedConnection(descriptor))
    }
    return nil
}

/// The server's end of a connection.
final class ScriptedConnection {
    let reader = PeerReader()
    private let descriptor: Int32
    private var prefaceLeft = clientPreface.count

    fileprivate init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// SETTINGS and WINDOW_UPDATE that let a client send `window` bytes without waiting.
    func grant(window: UInt32) {
        send(frame(.settings, [0, 4] + bigEndian(window)) + frame(.windowUpdate, bigEndian(window - 65_535)))
    }

    /// Reads until `condition` holds or the client closes.
    func read(until condition: (PeerReader) -> Bool) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while !condition(reader) {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { return }
            let skipped = min(prefaceLeft, count)
            prefaceLeft -= skipped
            reader.read(buffer[skipped..<count])
        }
    }

    func answer(_ stream: UInt32, _ message: [UInt8]) {
        send(
            headersFrame(stream: stream, [(":status", "200"), ("content-type", "application/grpc")])
                + dataFrame(stream: stream, framed(message), end: false)
                + headersFrame(stream: stream, [("grpc-status", "0")], end: true))
    }
}
