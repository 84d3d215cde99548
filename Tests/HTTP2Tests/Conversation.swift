import FletchHTTP2
import ScriptedPeer

/// Records a session's events and answers every complete request with its path as the body.
final class Recorder: SessionDelegate {
    var session: Session?
    var events: [String] = []
    var answers = true
    private let head = FieldBlock([.init(":status", "200")])
    private let trailers = FieldBlock([.init("done", "yes")])
    private let body = Array("body".utf8)
    private lazy var memory: UnsafeMutableRawBufferPointer = {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 200_000, alignment: 1)
        memory.initializeMemory(as: UInt8.self, repeating: 7)
        return memory
    }()
    var bodyCount = 4

    deinit {
        session?.close()
        head.destroy()
        trailers.destroy()
        memory.deallocate()
    }

    override func session(receivedHeadersOn stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        let names = stream.pointee.fields.map { String(decoding: $0.name, as: UTF8.self) }
        events.append(
            "headers \(stream.pointee.id) \(names.count)\(stream.pointee.headersTooLarge ? " too large" : "")")
    }

    override func session(received bytes: UnsafeRawBufferPointer, on stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        events.append("data \(stream.pointee.id) \(bytes.count)")
    }

    override func session(receivedEndOn stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        events.append("end \(stream.pointee.id)")
        guard answers else { return }
        session?.respond(
            to: stream, head: head, body: UnsafeRawBufferPointer(rebasing: memory[..<bodyCount]), trailers: trailers)
    }

    override func session(closed stream: UnsafeMutablePointer<FletchHTTP2.Stream>) {
        events.append("closed \(stream.pointee.id)")
    }
}

/// A session and the peer that talks to it.
final class Conversation {
    let recorder = Recorder()
    let reader = PeerReader()
    let output = OutputBuffer()
    let session: Session
    var error: HTTP2Error?

    init(_ limits: Limits = Limits()) {
        session = try! Session(resources: SessionResources(limits: limits))
        session.setDelegate(recorder)
        recorder.session = session
    }

    func send(_ bytes: [UInt8], reading: Bool = true) {
        do { try bytes.withUnsafeBytes { try session.receive($0) } } catch { self.error = error as? HTTP2Error }
        if reading { read() }
    }

    func send(_ bytes: [UInt8], inPiecesOf size: Int) {
        for start in stride(from: 0, to: bytes.count, by: size) {
            send(Array(bytes[start..<min(start + size, bytes.count)]))
        }
    }

    func read() {
        while true {
            output.clear()
            guard let isComplete = try? session.fill(output) else { return }
            reader.read(output.bytes)
            if isComplete { return }
        }
    }

    var goAwayCode: UInt32? { reader.goAways.last?.code }
}

let enhanceYourCalm: UInt32 = 11
let fields = [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", "x")]
