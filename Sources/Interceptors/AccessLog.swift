public import Logging
public import FletchRPC

/// Logs a line for each call at its end, as long as they do not come too fast: a log that is written for every call of
/// a flood would be the attack.
public final class AccessLog: Interceptor {
    /// Lines a second that a loop writes at most: more than one reads, and far less than a disk takes.
    public static let maxLinesPerSecond = 100
    /// Bytes of a path that are shown where the server has no such method.
    private static let maxShownPath = 200

    private let logger: Logger
    private let interval: UInt64
    private let burst: UInt64
    private var pace = Pace()
    private var leftOut = 0

    /// - Parameter maxLinesPerSecond: At least 1.
    public init(logger: Logger, maxLinesPerSecond: Int = AccessLog.maxLinesPerSecond) {
        self.logger = logger
        interval = 1_000_000_000 / UInt64(maxLinesPerSecond)
        burst = UInt64(maxLinesPerSecond)
    }

    public override func callEnded(_ call: InterceptedCall, _ outcome: CallOutcome) {
        let now = call.startedAt &+ outcome.duration
        guard pace.take(now: now, interval: interval, burst: burst) == 0 else {
            leftOut += 1
            return
        }
        let traffic = outcome.traffic
        var metadata: Logger.Metadata = [
            "peer": "\(call.peer.address)",
            "milliseconds": "\(Double(outcome.duration / 1000) / 1000)",
            "request_messages": "\(traffic.requestMessages)", "request_bytes": "\(traffic.requestBytes)",
            "response_messages": "\(traffic.responseMessages)", "response_bytes": "\(traffic.responseBytes)",
        ]
        if let identity = call.peer.identity { metadata["subject"] = "\(identity.subject)" }
        if leftOut > 0 { metadata["calls_not_logged"] = "\(leftOut)" }
        leftOut = 0
        logger.info("\(Self.shown(call)) \(outcome.code.name)", metadata: metadata)
    }

    /// The path without anything that could look like another line.
    private static func shown(_ call: InterceptedCall) -> String {
        guard call.methodIndex == nil else { return call.path }
        let bytes = call.path.utf8.prefix(maxShownPath).map { (0x21...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: bytes, as: UTF8.self)
    }
}
