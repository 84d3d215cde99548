import FletchEventLoop
import Glibc
import ScriptedPeer
import TLSPeer

/// A blocking client socket that speaks in scripted frames, through TLS where it is given a client for that.
final class SocketPeer {
    let reader = PeerReader()
    private let descriptor: Int32
    private let tls: TLSClient?
    private(set) var isClosedByServer = false
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    /// Connects to a loopback address or a Unix domain socket.
    init(_ address: ListenAddress, receiveBuffer: Int32? = nil, tls: TLSClient? = nil) {
        self.tls = tls
        let family =
            switch address.kind {
            case .internet(let host, _): host.contains(":") ? AF_INET6 : AF_INET
            case .unix: AF_UNIX
            }
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let code: Int32
        switch address.kind {
        case .internet(let host, let port) where host.contains(":"):
            var name = sockaddr_in6(
                sin6_family: sa_family_t(AF_INET6), sin6_port: port.bigEndian, sin6_flowinfo: 0,
                sin6_addr: in6addr_loopback, sin6_scope_id: 0)
            code = connectTo(&name)
        case .internet(_, let port):
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            code = connectTo(&name)
        case .unix(let path):
            var name = sockaddr_un()
            name.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
            code = connectTo(&name)
        }
        precondition(code == 0, "cannot connect to \(address)")
        if let tls { shakeHands(tls) }
    }

    private func shakeHands(_ tls: TLSClient) {
        while !tls.handshake(), tls.error == nil {
            guard sendAsIs(tls.takeOutput()), let bytes = receive() else { return }
            tls.receive(bytes)
        }
        sendAsIs(tls.takeOutput())
    }

    private func connectTo<Name>(_ name: inout Name) -> Int32 {
        withUnsafeBytes(of: &name) {
            connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
    }

    deinit { close(descriptor) }

    /// Sends all of `bytes`; false where the server has closed or takes nothing for ten seconds.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        guard let tls else { return sendAsIs(bytes) }
        tls.write(bytes)
        return sendAsIs(tls.takeOutput())
    }

    /// Sends `bytes` without encrypting them.
    @discardableResult
    func sendAsIs(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// Reads until `condition` holds; false where the server closes or is silent for ten seconds before.
    func read(until condition: (PeerReader) -> Bool) -> Bool {
        while !condition(reader) {
            guard let bytes = receive() else { return false }
            guard let tls else {
                reader.read(bytes)
                continue
            }
            tls.receive(bytes)
            reader.read(tls.read()[...])
        }
        return true
    }

    /// What the server sent; nil where it has closed or is silent for ten seconds.
    func receive() -> ArraySlice<UInt8>? {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else {
            isClosedByServer = count == 0 || errno == ECONNRESET
            return nil
        }
        return buffer[..<count]
    }

    /// Whether the server closes the connection, whatever it sends before.
    func waitForClose() -> Bool {
        _ = read { _ in false }
        return isClosedByServer
    }

    /// A whole call and its answer.
    func call(_ stream: UInt32, _ path: String, _ message: [UInt8] = [], replacing: [(String, String?)] = [])
        -> PeerReader.Response?
    {
        send(unaryCall(stream: stream, path, message, replacing: replacing))
        _ = read { $0.responses[stream]?.ended == true }
        return reader.responses[stream]
    }
}
