/// What the calls of one method were, under the names of the OpenTelemetry metrics for gRPC
/// (https://grpc.io/docs/guides/opentelemetry-metrics/): plain numbers, to be added up over loops.
public struct CallMetrics: Sendable {
    /// `grpc.server.call.started`
    public var started: UInt64 = 0
    /// How many ended with each status; index with `StatusCode.rawValue`.
    public var endedByStatus = InlineArray<17, UInt64>(repeating: 0)
    /// `grpc.server.call.duration`, in nanoseconds.
    public var duration = Histogram(bounds: Histogram.durations)
    /// `grpc.server.call.sent_total_compressed_message_size`, in bytes of all messages of a call.
    public var sentBytes = Histogram(bounds: Histogram.sizes)
    /// `grpc.server.call.rcvd_total_compressed_message_size`, in bytes of all messages of a call.
    public var receivedBytes = Histogram(bounds: Histogram.sizes)

    public init() {}

    public static func + (left: CallMetrics, right: CallMetrics) -> CallMetrics {
        var sum = left
        sum.started += right.started
        for index in sum.endedByStatus.indices { sum.endedByStatus[index] += right.endedByStatus[index] }
        sum.duration.add(right.duration)
        sum.sentBytes.add(right.sentBytes)
        sum.receivedBytes.add(right.receivedBytes)
        return sum
    }
}

/// How often values fell between bounds.
public struct Histogram: Sendable {
    /// 10 microseconds to 100 seconds, in nanoseconds, and 1 KiB to 4 GiB: the bounds that gRPC's metrics advise.
    static let durations: [UInt64] =
        [
            0, 10, 50, 100, 300, 600, 800, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 10_000, 13_000, 16_000, 20_000,
            25_000, 30_000, 40_000, 50_000, 65_000, 80_000, 100_000, 130_000, 160_000, 200_000, 250_000, 300_000,
            400_000, 500_000, 650_000, 800_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000,
            100_000_000,
        ].map { $0 * 1000 }
    static let sizes: [UInt64] = [0] + [10, 11, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32].map { 1 << $0 }

    /// Upper bounds, inclusive, rising.
    public let bounds: [UInt64]
    /// Values up to each bound and above the one before it; the last: above all bounds.
    public private(set) var counts: [UInt64]
    /// Of all values.
    public private(set) var sum: UInt64 = 0

    public init(bounds: [UInt64]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    public mutating func record(_ value: UInt64) {
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low &+ high) / 2
            if bounds[middle] < value { low = middle &+ 1 } else { high = middle }
        }
        counts[low] &+= 1
        sum &+= value
    }

    /// How many values there were.
    public var count: UInt64 { counts.reduce(0, +) }

    /// The bound that at least this part of the values does not pass; nil where there are none, or it is above all.
    public func bound(ofPart part: Double) -> UInt64? {
        let wanted = (Double(count) * part).rounded(.up)
        var seen: UInt64 = 0
        for (bound, count) in zip(bounds, counts) {
            seen += count
            if seen > 0, Double(seen) >= wanted { return bound }
        }
        return nil
    }

    /// Adds the values of another histogram with the same bounds.
    mutating func add(_ other: Histogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        sum += other.sum
    }
}

extension CallMetrics: CustomStringConvertible {
    /// One line of `name=number`; times in seconds, sizes in bytes, for parts of the calls the bounds they stay below.
    public var description: String {
        var parts = ["grpc.server.call.started=\(started)"]
        for code in StatusCode.allCases where endedByStatus[Int(code.rawValue)] > 0 {
            parts.append("\(code.name.lowercased())=\(endedByStatus[Int(code.rawValue)])")
        }
        parts += ["grpc.server.call.duration.sum=\(Double(duration.sum) / 1e9)"]
        for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
            parts.append("\(name)<=\(duration.bound(ofPart: part).map { "\(Double($0) / 1e9)" } ?? "inf")")
        }
        parts.append("grpc.server.call.sent_total_compressed_message_size.sum=\(sentBytes.sum)")
        parts.append("grpc.server.call.rcvd_total_compressed_message_size.sum=\(receivedBytes.sum)")
        return parts.joined(separator: " ")
    }
}
